"""Compilation of a network: what it needs of the machine, and how batches avoid another."""

import os
import shlex
import shutil
import sysconfig
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ddpm_cli.shapes import Images, Labels, NetworkTimes


def check_compiler(device: torch.device) -> None:
    """Raise ValueError if a compiler or Python's headers are missing, before the first step fails.

    Triton compiles its launchers for GPUs in C, Inductor compiles its kernels for CPUs in C++.
    """
    language, variable, *names = ("C++", "CXX", "g++", "clang++", "cl")
    if device.type == "cuda":
        language, variable, *names = ("C", "CC", "gcc", "clang", "cl")
    names = [*shlex.split(os.environ.get(variable, names[0]))[:1], *names[1:]]
    if not any(map(shutil.which, names)):
        raise ValueError(
            f"compile=true needs a {language} compiler, but none of {', '.join(names)} is there"
        )
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.is_file():
        package = "install Python's development package, such as python3-dev"
        raise ValueError(f"compile=true needs {header}, which is not there: {package}")


def compile_in_place(network: nn.Module) -> None:
    """Compile a network that trains, so that the names of its weights stay."""
    ignore_advice()
    network.compile()


def ignore_advice() -> None:
    """Keep from the screen what Inductor tells its own developers."""
    warnings.filterwarnings("ignore", module=r"torch\._inductor\.")


def compile_for_sampling(network: nn.Module) -> nn.Module:
    """Compile a network that samples, once for all batches of a run."""
    ignore_advice()
    compiled: Any = torch.compile(network, dynamic=False)
    return PaddedBatches(compiled)


class PaddedBatches(nn.Module):
    """A compiled network that pads a smaller batch to a size that it is compiled for.

    All tensors are contiguous, because other strides would cause a compilation too.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module, self.sizes = module, set[int]()

    def forward(self, x: Images, t: NetworkTimes, label: Labels | None = None) -> Images:
        count = len(x)
        size = min((size for size in self.sizes if size >= count), default=count)
        self.sizes.add(size)
        label = None if label is None else pad_batch(label, size)
        return self.module(pad_batch(x, size), pad_batch(t, size), label)[:count]


def pad_batch(batch: Tensor, size: int) -> Tensor:
    """A contiguous batch, with zeros at its end up to `size`."""
    return torch.cat([batch, batch.new_zeros(size - len(batch), *batch.shape[1:])]).contiguous()
