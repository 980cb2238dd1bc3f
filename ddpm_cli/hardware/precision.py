"""The precision, layout, and activation checkpointing of a network."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from ddpm_cli.hardware.compilation import check_compiler, compile_in_place
from ddpm_cli.hardware.full_memory import is_out_of_memory, memory_fault
from ddpm_cli.hardware.layout import FORMATS, Layout
from ddpm_cli.shapes import Flag, Images, Labels, Maps, NetworkTimes, Scalar

Precision: TypeAlias = Literal["fp32", "bf16", "fp16"]

TYPES: dict[str, torch.dtype] = {
    "fp32": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
}


class Autocast(nn.Module):
    """A network whose convolutions and matrix products run in another type than its weights'.

    names: weights to cast together before each pass; autocast casts the others one by one.
    """

    def __init__(self, module: nn.Module, dtype: torch.dtype, names: Sequence[str] = ()) -> None:
        super().__init__()
        self.module, self.dtype, self.names = module, dtype, names

    def forward(self, x: Images, t: NetworkTimes, label: Labels | None = None) -> Maps:
        with torch.autocast(x.device.type, self.dtype):
            if not self.names:
                return self.module(x, t, label)
            own = dict(self.module.named_parameters())
            cast = CastAtOnce.apply(self.dtype, *(own[name] for name in self.names))
            weights = dict(zip(self.names, cast, strict=True))
            return functional_call(self.module, weights, (x, t, label))


class CastAtOnce(torch.autograd.Function):
    """Cast tensors by one kernel, and their gradients back by one."""

    @staticmethod
    def forward(ctx: Any, dtype: torch.dtype, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.dtype = tensors[0].dtype
        ctx.set_materialize_grads(False)
        cast = [torch.empty_like(each, dtype=dtype) for each in tensors]
        torch._foreach_copy_(cast, list(tensors))
        return tuple(cast)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        cast = iter(CastAtOnce.apply(ctx.dtype, *(each for each in grads if each is not None)))
        return None, *(None if each is None else next(cast) for each in grads)


def on_device(network: nn.Module, device: torch.device, layout: Layout = "NHWC") -> nn.Module:
    """Move a network to its device, and lay its maps as asked; GPUs multiply fp32 as TF32.

    Raises ValueError if the device's memory is too small.
    """
    if device.type == "cuda":
        # Inductor reads this setting, and fails on the newer `fp32_precision` up to torch 2.14.
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
    try:
        network = network.to(device, memory_format=FORMATS[layout])  # type: ignore[call-overload]
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise ValueError(f"model.network: {memory_fault(network, device)}") from error
        raise
    for parameter in network.parameters():
        if parameter.shape[2:] == (1, 1):  # both layouts are equal: take the gradients' strides
            parameter.data = parameter.data.flatten().view(parameter.shape)
    return network


def prepare_for_training(
    network: nn.Module,
    precision: Precision,
    *,
    compiled: bool,
    recomputed: bool,
    shared: bool = False,
) -> nn.Module:
    """Prepare a network for training.

    recomputed: whether the backward pass recomputes the activations in the network's parts.
    shared: whether several devices or processes exchange gradients, layer by layer.
    Raises ValueError if a compiler is missing, or if the network cannot recompute.
    """
    if recomputed:
        recompute(network)
    if precision != "fp32":
        # A compiler fuses the casts of single weights, and an exchange must not wait for all.
        names = [] if compiled or shared else names_of_cast_weights(network)
        network = Autocast(network, TYPES[precision], names)
    if compiled:
        check_compiler(next(network.parameters()).device)
        compile_in_place(network)
    return network


def prepare_for_sampling(network: nn.Module, precision: Precision) -> nn.Module:
    """Prepare a network for sampling: its weights are cast once and have no gradients."""
    network = network.eval().requires_grad_(False)
    if precision != "fp32":
        network = Autocast(network.to(TYPES[precision]), TYPES[precision])
    return network


def names_of_cast_weights(network: nn.Module) -> list[str]:
    """The names of the weights in layers that the network lists as `half_precision_layers`.

    A weight without a gradient is left out, because casting it with others would compute one.
    """
    kinds: tuple[type[nn.Module], ...] = getattr(network, "half_precision_layers", ())
    return [
        f"{prefix}.{name}".removeprefix(".")
        for prefix, layer in network.named_modules()
        if isinstance(layer, kinds)
        for name, each in layer.named_parameters(recurse=False)
        if each.requires_grad
    ]


def recompute(network: nn.Module) -> None:
    """Recompute activations in the backward pass, with equal dropout (Chen et al. 2016)."""
    if not hasattr(network, "through"):
        raise ValueError(
            f"trainer.activation_checkpointing is not for {type(network).__name__}:"
            " it calls no part by `self.through`"
        )
    setattr(network, "through", partial(checkpoint, use_reentrant=False))  # noqa: B010


def has_overflowed(scaler: GradScaler, loss: Scalar, norm: Scalar) -> Flag:
    """Whether fp16 overflowed: the loss is finite, its gradient is not, the scale is >= 1."""
    scale = scaler.scale(torch.ones_like(loss))
    return loss.isfinite() & ~norm.isfinite() & (scale >= 1) & scaler.is_enabled()
