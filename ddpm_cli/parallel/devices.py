"""Devices by name, and wrappers of the network."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ddpm_cli.parallel.group import ALONE, ProcessGroup, launched_rank


def find_device(name: str) -> torch.device:
    """The device called `name`; `auto` is CUDA, else MPS, else the CPU. Of several processes each takes a GPU of its own."""
    _, count, place = launched_rank()
    if name == "auto":
        name = (
            "cuda"
            if torch.cuda.is_available()
            else "mps"
            if torch.backends.mps.is_available() and count == 1
            else "cpu"
        )
    if count > 1:
        name = own_device(name, place)
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device must be auto, cpu, cuda, cuda:N or mps, and be there, but is {name!r}"
        ) from error


def own_device(name: str, place: int) -> str:
    """The device of one of several processes; ValueError where there is none for it."""
    if name == "cuda" and place >= torch.cuda.device_count():
        raise ValueError(
            f"every process needs a GPU of its own: there are {torch.cuda.device_count()}, and this is process {place + 1}"
        )
    if name not in ("cpu", "cuda"):
        raise ValueError(f"device must be auto, cpu or cuda for several processes, but is {name!r}")
    return "cpu" if name == "cpu" else f"cuda:{place}"


def device_text(device: torch.device, parallel: str = "none", group: ProcessGroup = ALONE) -> str:
    """The device in words, what DataParallel has to work with where it is asked for, and the processes where there are several."""
    details = {
        "cuda": lambda: f" ({torch.cuda.get_device_name(device)})",
        "cpu": lambda: f" ({torch.get_num_threads()} threads)",
    }
    told, count = str(device) + details.get(device.type, str)(), torch.cuda.device_count()
    if parallel != "dp":
        return (
            told if group.count == 1 else f"{told}, {group.count} processes ({dist.get_backend()})"
        )
    over = (
        f"over {count} GPUs"
        if count > 1
        else f"of one: {count} GPUs are visible, batches stay whole"
    )
    return f"{told}, DataParallel {over}"


def wrap_network(network: nn.Module, parallel: str, group: ProcessGroup) -> nn.Module:
    """The network as it is trained: over several GPUs by DataParallel, over several processes by DistributedDataParallel."""
    if parallel == "dp":
        return nn.DataParallel(network)
    if group.count == 1:
        return network
    device = next(network.parameters()).device
    ids = [device.index] if device.type == "cuda" else None
    return DistributedDataParallel(network, ids, gradient_as_bucket_view=True)


class AsyncScalar:
    """Numbers on their way from a device: `read` waits for them alone, not for later work."""

    def __init__(self, numbers: Tensor) -> None:
        self.numbers = numbers.to("cpu", non_blocking=numbers.is_cuda)
        self.arrival: torch.cuda.Event | None = None
        if numbers.is_cuda:
            self.arrival = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self.arrival.record(torch.cuda.current_stream(numbers.device))

    def read(self) -> list[Any]:
        """The numbers, once they have arrived."""
        if self.arrival is not None:
            self.arrival.synchronize()
        return self.numbers.tolist()


def without_sync(network: nn.Module) -> AbstractContextManager[None]:
    """Within it gradients are added up in this process only."""
    return network.no_sync() if isinstance(network, DistributedDataParallel) else nullcontext()
