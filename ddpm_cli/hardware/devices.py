"""Devices by name, and numbers on their way from a device."""

import os
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

OF_TORCHRUN = "TORCHELASTIC_USE_AGENT_STORE"  # in the environment of its processes alone


def find_device(name: str) -> torch.device:
    """The device called `name`; `auto`: CUDA, else MPS, else the CPU. Each rank has its own GPU.

    Raises ValueError for a device that this machine does not have.
    """
    count = int(os.environ["WORLD_SIZE"]) if dist.is_torchelastic_launched() else 1
    if name == "auto" and torch.cuda.is_available():
        name = "cuda"
    elif name == "auto":
        name = "mps" if torch.backends.mps.is_available() and count == 1 else "cpu"
    if count > 1:
        name = own_device(name, int(os.environ["LOCAL_RANK"]))
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device must be auto, cpu, cuda, cuda:N or mps, but is {name!r}{absence_text(name)}"
        ) from error


def absence_text(name: str) -> str:
    """The devices of this machine of the kind that a name asks for, as the end of a sentence."""
    count = torch.cuda.device_count()
    gpus = "no CUDA GPU" if count == 0 else f"{count} CUDA GPU{'s' * (count > 1)}, from cuda:0 on"
    kinds = {"cuda": gpus, "mps": "no MPS"}
    kind = name.partition(":")[0]
    return f": here is {kinds[kind]}" if kind in kinds else ""


def own_device(name: str, rank: int) -> str:
    """The device of process `rank` of several on this machine.

    A process that sees one GPU has this GPU, if a scheduler such as SLURM shows each process its
    own. Processes of torchrun see the same GPUs. Raises ValueError if the process has no device.
    """
    count = torch.cuda.device_count()
    if count == 1 and OF_TORCHRUN not in os.environ:
        rank = 0
    if name == "cuda" and rank >= count:
        raise ValueError(
            f"every process needs a GPU of its own: there are {count}, and this is process"
            f" {rank + 1}"
        )
    if name not in ("cpu", "cuda"):
        raise ValueError(f"device must be auto, cpu or cuda for several processes, but is {name!r}")
    return "cpu" if name == "cpu" else f"cuda:{rank}"


def data_parallel_gpus(device: torch.device) -> list[int]:
    """The GPUs that DataParallel takes, `device` first, which holds the weights; none on a CPU."""
    if device.type != "cuda":
        return []
    return sorted(range(torch.cuda.device_count()), key=lambda index: index != device.index)


def device_text(device: torch.device, parallel: str = "none", processes: int = 1) -> str:
    """The device in words, with the GPUs of DataParallel or the number of processes."""
    threads = torch.get_num_threads()
    details = {
        "cuda": lambda: f" ({torch.cuda.get_device_name(device)})",
        "cpu": lambda: f" ({threads} thread{'s' * (threads != 1)})",
    }
    text, gpus = str(device) + details.get(device.type, str)(), data_parallel_gpus(device)
    if parallel == "dp" and len(gpus) > 1:
        return f"{text}, DataParallel over {len(gpus)} GPUs"
    if parallel == "dp":
        visible = f"{torch.cuda.device_count()} GPUs are visible"
        unused = " and not used" * (not gpus and torch.cuda.device_count() > 0)
        return f"{text}, DataParallel of one: {visible}{unused}, batches stay whole"
    return text if processes == 1 else f"{text}, {processes} processes ({dist.get_backend()})"


def seed_generators(device: torch.device, seed: int) -> None:
    """Seed the default generators of the CPU and of a device's backend, as torch.manual_seed does.

    That function walks every backend of torch, which takes longer than many operations of a step.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed_all(seed)  # DataParallel draws on every GPU
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


def copies_asynchronously(device: torch.device) -> bool:
    """Whether a copy to or from a device may end after the call.

    torch keeps a tensor's memory until the end of a copy on CUDA only, not on MPS.
    """
    return device.type == "cuda"


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor of the CPU to a device, without waiting if that is safe."""
    if copies_asynchronously(device) and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()  # a copy from other memory waits
    return tensor.to(device, non_blocking=copies_asynchronously(device))


def refill(target: Tensor, source: Tensor) -> None:
    """Copy a tensor of the CPU into one of a device, without waiting if that is safe."""
    if copies_asynchronously(target.device):
        source = source.pin_memory()
    target.copy_(source, non_blocking=copies_asynchronously(target.device))


class AsyncScalar:
    """Numbers on their way from a device: `read` waits for the numbers, not for later work."""

    def __init__(self, numbers: Tensor) -> None:
        self.numbers = numbers.to("cpu", non_blocking=copies_asynchronously(numbers.device))
        self.arrival: torch.cuda.Event | None = None
        if numbers.is_cuda:
            self.arrival = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self.arrival.record(torch.cuda.current_stream(numbers.device))

    def read(self) -> list[Any]:
        """The numbers, once they have arrived."""
        if self.arrival is not None:
            self.arrival.synchronize()
        return self.numbers.tolist()
