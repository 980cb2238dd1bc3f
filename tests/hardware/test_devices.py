"""Copies between devices: only CUDA keeps the memory of a tensor until its copy has ended."""

import ast
from pathlib import Path

import pytest
import torch

import ddpm_cli
from ddpm_cli.hardware import AsyncScalar, copies_asynchronously, seed_generators, to_device
from ddpm_cli.hardware.devices import OF_TORCHRUN, find_device, own_device


@pytest.fixture
def copies(monkeypatch):
    """Copies to devices that this machine may lack, by their device and whether they wait."""
    done = []

    def to(tensor, device, *, non_blocking=False):
        done.append((torch.device(device).type, not non_blocking))
        return tensor

    monkeypatch.setattr(torch.Tensor, "to", to)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    return done


@pytest.mark.parametrize(
    ("device", "waits"), [("mps", True), ("cpu", True), ("xpu", True), ("cuda:1", False)]
)
def test_a_copy_from_a_temporary_waits_except_on_cuda(copies, device, waits):
    assert copies_asynchronously(torch.device(device)) is not waits
    to_device(torch.ones(2), torch.device(device))
    assert copies == [(torch.device(device).type, waits)]


def test_a_seed_of_64_bits_gives_the_numbers_that_torch_gives():
    seed = 2**64 - 3
    expected = torch.rand(3, generator=torch.manual_seed(seed))
    seed_generators(torch.device("cpu"), seed)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("device", ["cpu", "cuda:1", "mps"])
def test_only_the_backend_of_the_device_is_seeded(monkeypatch, device):
    calls = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: calls.append(("cuda:1", seed)))
    monkeypatch.setattr(torch.mps, "manual_seed", lambda seed: calls.append(("mps", seed)))
    seed_generators(torch.device(device), 5)
    assert calls == [(device, 5)] * (device != "cpu")
    assert torch.initial_seed() == 5


def test_the_numbers_of_a_step_wait_for_their_copy(copies):
    assert AsyncScalar(torch.ones(2)).read() == [1, 1]
    assert copies == [("cpu", True)]


def test_no_other_file_decides_whether_a_copy_waits():
    root = Path(ddpm_cli.__file__).parent
    answers = {
        ast.unparse(node.value)
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.keyword) and node.arg == "non_blocking"
    }
    assert all(each.startswith("copies_asynchronously(") for each in answers), answers


@pytest.fixture
def second_process(monkeypatch):
    """The environment of the second of two processes, and a machine with a number of GPUs."""
    for name, value in {"WORLD_SIZE": "2", "LOCAL_RANK": "1", "TORCHELASTIC_RUN_ID": "700"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv(OF_TORCHRUN, raising=False)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    return lambda count: monkeypatch.setattr("torch.cuda.device_count", lambda: count)


@pytest.mark.parametrize(("visible", "device"), [(1, "cuda:0"), (2, "cuda:1"), (8, "cuda:1")])
def test_a_process_of_slurm_takes_the_one_gpu_that_it_sees_or_the_gpu_of_its_rank(
    second_process, monkeypatch, visible, device
):
    second_process(visible)
    places = []
    monkeypatch.setattr("torch.empty", lambda *_, device: places.append(device) or torch.ones(1))
    find_device("auto")
    assert places == [device]


def test_processes_of_torchrun_do_not_share_a_gpu(second_process, monkeypatch):
    second_process(1)
    monkeypatch.setenv(OF_TORCHRUN, "True")
    with pytest.raises(ValueError, match="there are 1, and this is process 2"):
        own_device("cuda", 1)
