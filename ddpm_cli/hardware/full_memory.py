"""Full memory in one line: what was asked for, what is free, and the option that helps."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from ddpm_cli.hardware.memory import free_memory
from ddpm_cli.text import size_text

SIGNS = (  # parts of the messages of CUDA, cuBLAS, cuDNN, MPS, and the CPU's allocator
    "out of memory",
    "ALLOC_FAILED",
    "allocate memory",
)
ASKED = re.compile(r"(?:[Tt]ried to|Unable to) allocate ([\d.]+) (bytes|[KMGTP]i?B)")
FREE = re.compile(r"GPU (\d+) has a total capacity of ([\d.]+ \w+) of which ([\d.]+ \w+) is free")
SMALLER_NETWORK = "choose a smaller network, as by a smaller model.network.dim"


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error says that the memory of a device is full."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS)


@contextmanager
def words_for_full_memory(remedy: str) -> Iterator[None]:
    """Turn an error of full memory into a ValueError whose message ends with the remedy.

    The context is a decorator too.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise ValueError(f"{full_memory_text(error)}; {remedy}") from error


def full_memory_text(error: BaseException) -> str:
    """Which memory is full, what was asked for, and what is free, as far as they are known."""
    text, place, free = str(error), "cpu", free_memory(torch.device("cpu"))
    if isinstance(error, torch.OutOfMemoryError) or any(each in text for each in ("CUDA", "cuDNN")):
        is_running = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        place, free = "the GPU", torch.cuda.mem_get_info()[0] if is_running else None
    elif "MPS" in text:
        place, free = "mps", None
    left = "" if free is None else f"{size_text(free)} are free"
    if gpu := FREE.search(text):  # free at the time of the error; by now memory may be free again
        place, left = f"cuda:{gpu[1]}", f"{gpu[3]} of {gpu[2]} are free"
    details = ", ".join(each for each in (asked_text(error), left) if each)
    return f"the memory of {place} is full" + (f": {details}" if details else "")


def asked_text(error: BaseException) -> str:
    """The size that an error of full memory says was asked for; "" if it says none."""
    if (asked := ASKED.search(str(error))) is None:
        return ""
    exact = asked[2] == "bytes" and asked[1].isdecimal()
    size = size_text(int(asked[1])) if exact else f"{asked[1]} {asked[2]}"
    return f"{size} more were asked for"


def memory_fault(network: nn.Module, device: torch.device) -> str:
    """Why a network that does not fit into the memory of a device is refused, and the remedy."""
    count = sum(each.numel() for each in network.parameters())
    size = size_text(sum(each.nbytes for each in network.parameters()))
    fault = f"{count:,} parameters take {size}, which the memory of {device} has no room for"
    return f"{fault}; {SMALLER_NETWORK}"
