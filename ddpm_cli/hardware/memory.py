"""The memory of this machine and of its devices, where the system reports it."""

import math
import os
import sys
from pathlib import Path

import torch

from ddpm_cli.files import load_text

try:
    import resource
except ImportError:  # on Windows
    resource = None  # type: ignore[assignment]


def total_memory() -> float:
    """The bytes of this machine's memory; infinite if the number is unknown, as on Windows."""
    if not hasattr(os, "sysconf"):
        return math.inf
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def peak_memory(device: torch.device, reset: bool = False) -> int:
    """The most bytes in use on the device since the start, or on a GPU since the last reset.

    0 if the number is unknown, as on Windows' CPU.
    """
    if device.type == "cuda":
        if reset:
            torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.max_memory_allocated(device)
    if resource is None:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def free_memory(device: torch.device) -> int | None:
    """The free bytes of the device; None if the number is unknown."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    path = Path("/proc/meminfo")
    if device.type != "cpu" or not path.is_file():
        return None
    lines = load_text(path).splitlines()
    available = (line for line in lines if line.startswith("MemAvailable"))
    return next((1024 * int(line.split()[1]) for line in available), None)
