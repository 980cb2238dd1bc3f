"""The precision, compilation, and activation checkpointing of a network."""

import os
import shlex
import shutil
from functools import partial
from typing import Literal, TypeAlias

import torch
from torch import nn
from torch.amp import GradScaler
from torch.utils.checkpoint import checkpoint

from ddpm_cli.hardware.full_memory import is_out_of_memory, memory_fault
from ddpm_cli.shapes import Flag, Images, Labels, Maps, NetworkTimes, Scalar

Precision: TypeAlias = Literal["fp32", "bf16", "fp16"]

TYPES: dict[str, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


class Autocast(nn.Module):
    """A network whose convolutions and matrix products run in another type than its weights'."""

    def __init__(self, module: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.module, self.dtype = module, dtype

    def forward(self, x: Images, t: NetworkTimes, label: Labels | None = None) -> Maps:
        with torch.autocast(x.device.type, self.dtype):
            return self.module(x, t, label)


def on_device(network: nn.Module, device: torch.device) -> nn.Module:
    """Move a network to its device: channels last for tensor cores and oneDNN, TF32 on GPUs.

    Raises ValueError if the device's memory is too small.
    """
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
    try:
        network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise ValueError(f"model.network: {memory_fault(network, device)}") from error
        raise
    for parameter in network.parameters():
        if parameter.shape[2:] == (1, 1):  # both layouts are equal: take the gradients' strides
            parameter.data = parameter.data.flatten().view(parameter.shape)
    return network


def prepare_for_training(
    network: nn.Module, precision: Precision, *, compiled: bool, recomputed: bool
) -> nn.Module:
    """Prepare a network for training.

    recomputed: whether the backward pass recomputes the activations in the network's parts.
    """
    if recomputed:
        recompute(network)
    if precision != "fp32":
        network = Autocast(network, TYPES[precision])
    if compiled:
        check_compiler()
        network.compile()  # in place, so that the names of weights stay
    return network


def prepare_for_sampling(network: nn.Module, precision: Precision, *, compiled: bool) -> nn.Module:
    """Prepare a network for sampling: its weights are cast once and have no gradients."""
    network = network.eval().requires_grad_(False)
    if precision != "fp32":
        network = Autocast(network.to(TYPES[precision]), TYPES[precision])
    if compiled:
        check_compiler()
        network.compile()
    return network


def recompute(network: nn.Module) -> None:
    """Recompute activations in the backward pass, with equal dropout (Chen et al. 2016)."""
    if not hasattr(network, "through"):
        raise ValueError(
            f"trainer.activation_checkpointing is not for {type(network).__name__}:"
            " it calls no part by `self.through`"
        )
    setattr(network, "through", partial(checkpoint, use_reentrant=False))  # noqa: B010


def check_compiler() -> None:
    """Raise ValueError if there is no C++ compiler, before the first step fails."""
    names = [*shlex.split(os.environ.get("CXX", "g++"))[:1], "clang++", "cl"]
    if not any(map(shutil.which, names)):
        raise ValueError(
            f"compile=true needs a C++ compiler, but none of {', '.join(names)} is there"
        )


def has_overflowed(scaler: GradScaler, loss: Scalar, norm: Scalar) -> Flag:
    """Whether fp16 overflowed: the loss is finite, its gradient is not, the scale is >= 1."""
    scale = scaler.scale(torch.ones_like(loss))
    return loss.isfinite() & ~norm.isfinite() & (scale >= 1) & scaler.is_enabled()
