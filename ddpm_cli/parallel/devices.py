"""Devices by name, and wrappers of the network."""

from collections.abc import Callable

import torch
from torch import nn


def device_named(name: str) -> torch.device:
    """The device called `name`; `auto` is CUDA, else MPS, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device must be auto, cpu, cuda, cuda:N or mps, and be there, but is {name!r}") from error


def described(device: torch.device, parallel: str) -> str:
    """The device in words, and what DataParallel has to work with where it is asked for."""
    details = {"cuda": lambda: f" ({torch.cuda.get_device_name(device)})", "cpu": lambda: f" ({torch.get_num_threads()} threads)"}
    told, count = str(device) + details.get(device.type, str)(), torch.cuda.device_count()
    if parallel == "none":
        return told
    over = f"over {count} GPUs" if count > 1 else f"of one: {count} GPUs are visible, batches stay whole"
    return f"{told}, DataParallel {over}"


WRAPPERS: dict[str, Callable[[nn.Module], nn.Module]] = {"none": lambda network: network, "dp": nn.DataParallel}
