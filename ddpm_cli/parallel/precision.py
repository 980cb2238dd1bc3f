"""How a network is computed: in which type, compiled or not, with its activations kept or computed again."""

import os
import shlex
import shutil
from functools import partial
from typing import Literal, TypeAlias

import torch
from torch import nn
from torch.amp import GradScaler
from torch.utils.checkpoint import checkpoint

from ddpm_cli.shapes import Flag, Images, Labels, NetworkTimes, Scalar

Precision: TypeAlias = Literal["fp32", "bf16", "fp16"]

TYPES: dict[str, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


class Autocast(nn.Module):
    """A network whose convolutions and products are of another type than its weights; nothing round it is."""

    def __init__(self, module: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.module, self.dtype = module, dtype

    def forward(self, x: Images, t: NetworkTimes, label: Labels | None = None) -> Images:
        with torch.autocast(x.device.type, self.dtype):
            return self.module(x, t, label)


def on_device(network: nn.Module, device: torch.device) -> nn.Module:
    """The network on its device, where maps lie channels last, as the kernels of tensor cores and oneDNN take them; TF32 on GPUs."""
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    for parameter in network.parameters():
        if parameter.shape[2:] == (
            1,
            1,
        ):  # both layouts are one: let the strides be those that gradients come with
            parameter.data = parameter.data.flatten().view(parameter.shape)
    return network


def prepare_for_training(
    network: nn.Module, precision: Precision, *, compiled: bool, recomputed: bool
) -> nn.Module:
    """The network as it is trained in one process. recomputed: activations within its parts are not kept for the backward pass."""
    if recomputed:
        recompute(network)
    if precision != "fp32":
        network = Autocast(network, TYPES[precision])
    if compiled:
        check_compiler()
        network.compile()  # in place, so that the names of weights stay
    return network


def prepare_for_sampling(network: nn.Module, precision: Precision, *, compiled: bool) -> nn.Module:
    """The network as it samples: weights cast once, no gradient."""
    network = network.eval().requires_grad_(False)
    if precision != "fp32":
        network = Autocast(network.to(TYPES[precision]), TYPES[precision])
    if compiled:
        check_compiler()
        network.compile()
    return network


def recompute(network: nn.Module) -> None:
    """Has a network compute its parts again in the backward pass, with the dropout they had (Chen et al. 2016)."""
    if not hasattr(network, "through"):
        raise ValueError(
            f"trainer.activation_checkpointing is not for {type(network).__name__}: it calls no part by `self.through`"
        )
    setattr(network, "through", partial(checkpoint, use_reentrant=False))  # noqa: B010


def check_compiler() -> None:
    """Refuses what could only fail in the first step."""
    names = [*shlex.split(os.environ.get("CXX", "g++"))[:1], "clang++", "cl"]
    if not any(map(shutil.which, names)):
        raise ValueError(
            f"compile=true needs a C++ compiler, but none of {', '.join(names)} is there"
        )


def scaler_for(precision: Precision, device: torch.device) -> GradScaler:
    """What keeps fp16's gradients in its range; idle for the other types, whose range is that of fp32."""
    return GradScaler(device.type, enabled=precision == "fp16")


def has_overflowed(scaler: GradScaler, loss: Scalar, norm: Scalar) -> Flag:
    """Whether the gradient alone is not finite: the scaler's to answer, as long as it does not scale down what is finite itself."""
    scale = scaler.scale(torch.ones_like(loss))
    return loss.isfinite() & ~norm.isfinite() & (scale >= 1) & scaler.is_enabled()
