"""Devices by name, and numbers on their way from a device."""

import os
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ddpm_cli.text import size_text

ALLOCATION = "allocate memory"  # in torch's message when the CPU's memory is full


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
            f"device must be auto, cpu, cuda, cuda:N or mps, and be there, but is {name!r}"
        ) from error


def own_device(name: str, rank: int) -> str:
    """The device of process `rank` of several on this machine.

    Raises ValueError if the process has no device.
    """
    count = torch.cuda.device_count()
    if name == "cuda" and rank >= count:
        raise ValueError(
            f"every process needs a GPU of its own: there are {count}, and this is process"
            f" {rank + 1}"
        )
    if name not in ("cpu", "cuda"):
        raise ValueError(f"device must be auto, cpu or cuda for several processes, but is {name!r}")
    return "cpu" if name == "cpu" else f"cuda:{rank}"


def device_text(device: torch.device, parallel: str = "none", processes: int = 1) -> str:
    """The device in words, with the GPUs of DataParallel or the number of processes."""
    details = {
        "cuda": lambda: f" ({torch.cuda.get_device_name(device)})",
        "cpu": lambda: f" ({torch.get_num_threads()} threads)",
    }
    text, count = str(device) + details.get(device.type, str)(), torch.cuda.device_count()
    if parallel == "dp" and count > 1:
        return f"{text}, DataParallel over {count} GPUs"
    if parallel == "dp":
        return f"{text}, DataParallel of one: {count} GPUs are visible, batches stay whole"
    return text if processes == 1 else f"{text}, {processes} processes ({dist.get_backend()})"


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error says that the memory of a device is full."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or ALLOCATION in str(error)


def memory_fault(network: nn.Module, device: torch.device) -> str:
    """Why a network that does not fit into the memory of a device is refused, and the remedy."""
    count = sum(each.numel() for each in network.parameters())
    size = size_text(sum(each.nbytes for each in network.parameters()))
    fault = f"{count:,} parameters take {size}, which the memory of {device} has no room for"
    return f"{fault}; choose a smaller network, as by a smaller model.network.dim"


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
