"""The memory that the system tells of, and what is done where it does not."""

import math

import pytest
import torch

from ddpm_cli.hardware import free_memory, memory, peak_memory, total_memory

CPU = torch.device("cpu")


def test_this_machine_has_more_memory_than_the_process_uses():
    assert 0 < peak_memory(CPU) < total_memory() < math.inf
    assert free_memory(CPU) <= total_memory()


def test_a_system_without_sysconf_and_resource_tells_no_memory(monkeypatch):
    monkeypatch.delattr("os.sysconf")
    monkeypatch.setattr(memory, "resource", None)
    assert total_memory() == math.inf
    assert peak_memory(CPU) == 0


@pytest.mark.parametrize("device", ["mps", "xpu", "meta"])
def test_the_free_memory_of_other_devices_is_unknown(device):
    assert free_memory(torch.device(device)) is None


def test_a_peak_is_in_bytes_on_linux_and_macos(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    linux = peak_memory(CPU)
    monkeypatch.setattr("sys.platform", "darwin")
    assert linux >= 1000 * peak_memory(CPU)
