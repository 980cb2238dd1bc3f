"""DataParallel takes the GPUs that the device asks for, and none on a CPU."""

import pytest
import torch
from torch import nn

from ddpm_cli.hardware import device_text
from ddpm_cli.parallel import distribute


class Wrapped(nn.Module):
    """DataParallel without GPUs."""

    def __init__(self, network, gpus):
        super().__init__()
        self.network, self.gpus = network, gpus


class On(nn.Module):
    """A network that says it lies on a device."""

    def __init__(self, device):
        super().__init__()
        self.device = torch.device(device)

    def parameters(self):
        return iter([self])


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """A machine with four GPUs, of a name."""
    monkeypatch.setattr(nn, "DataParallel", Wrapped)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Card")


def test_a_network_on_the_cpu_stays_there_on_a_machine_with_gpus():
    network = nn.Linear(2, 2)
    assert distribute(network, "dp") is network
    text = device_text(torch.device("cpu"), "dp")
    assert text.endswith("DataParallel of one: 4 GPUs are visible and not used, batches stay whole")


@pytest.mark.parametrize(("device", "gpus"), [("cuda:0", [0, 1, 2, 3]), ("cuda:1", [1, 0, 2, 3])])
def test_the_gpu_that_is_named_holds_the_weights_and_gathers(device, gpus):
    assert distribute(On(device), "dp").gpus == gpus
    text = device_text(torch.device(device), "dp")
    assert text == f"{device} (Card), DataParallel over 4 GPUs"


def test_one_gpu_needs_no_wrapper(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    network = On("cuda:0")
    assert distribute(network, "dp") is network
