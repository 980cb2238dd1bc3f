"""Layers that the networks share: products and norms that copy no memory, sines of times."""

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from einops import rearrange
from torch import nn
from torch.nn import functional as F

from ddpm_cli.shapes import Features, Maps, NetworkTimes, Positions

Through: TypeAlias = Callable[..., Maps]  # calls a part of the network


class Pointwise(nn.Conv2d):
    """A 1x1 convolution as a matrix product, which copies no maps in either layout."""

    def forward(self, x: Maps) -> Maps:
        if x.is_contiguous():
            return rearrange(self.product(x.flatten(2)), "b c (y x) -> b c y x", y=x.shape[2])
        out = F.linear(x.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias)
        return out.permute(0, 3, 1, 2)

    def product(self, x: Positions, *, channels_last: bool = False) -> Positions:
        """The output at all positions; one product an image reads any layout, and writes either."""
        # Autocast would cast the weight once an image; `len` would fix an exported program's batch.
        weight = self.weight.to(x.dtype).flatten(1).expand(x.shape[0], -1, -1)
        bias = weight.new_zeros(1) if self.bias is None else self.bias
        if not channels_last:
            return torch.baddbmm(bias[:, None], weight, x)
        return torch.baddbmm(bias, x.transpose(1, 2), weight.transpose(1, 2)).transpose(1, 2)


class GroupNorm(nn.GroupNorm):
    """Group norm in its input's type: kernels sum in fp32, but autocast would store fp32 maps."""

    def forward(self, x: Maps) -> Maps:
        weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
        count, channels, *sides = x.shape
        sizes = count, channels, math.prod(sides), self.num_groups
        # Autocast knows the function of nn.functional, not the kernel that it calls.
        return torch.native_group_norm(as_kernels_read(x), weight, bias, *sizes, self.eps)[0]


def as_kernels_read(x: Maps) -> Maps:
    """Maps without gaps, which the kernel of group norm refuses up to torch 2.11.

    The kernel of CUDA reads no channels that lie last; a compiler makes a kernel that does.
    """
    reads_any = x.is_cpu or torch.compiler.is_compiling()
    is_dense = reads_any and x.is_contiguous(memory_format=torch.channels_last)
    # One image alone counts as dense by any stride between images; the kernel wants the right one.
    return x if is_dense and x.stride(0) == math.prod(x.shape[1:]) else x.contiguous()


class Sines(nn.Module):
    """Times as cosines and sines of frequencies 10000^(-i / (size/2 - shift)).

    Ho et al. 2020 have sines first and a shift of 1, later papers cosines first and no shift.
    """

    def __init__(self, size: int, shift: float = 0.0, sines_first: bool = False) -> None:
        super().__init__()
        if shift >= size // 2:
            raise ValueError(f"freq_shift must be below dim / 2 = {size // 2}, but is {shift:g}")
        self.count, self.shift, self.sines_first = size // 2, shift, sines_first

    def forward(self, t: NetworkTimes) -> Features:
        places = torch.arange(self.count, device=t.device, dtype=torch.float32)
        # The order of the operations is that of public codes: rounding grows with the time.
        angles = t[:, None] * torch.exp(-math.log(10000) * places / (self.count - self.shift))
        waves = (angles.sin(), angles.cos()) if self.sines_first else (angles.cos(), angles.sin())
        return torch.cat(waves, dim=1)


def check_sides(sides: Sequence[int], divisor: int) -> None:
    """Raise ValueError with the nearest sides that work for sides that cannot be halved."""
    for side in sides:
        if side % divisor:
            below = side // divisor * divisor
            nearest = " and ".join(str(size) for size in (below, below + divisor) if size)
            rule = f"image sides must be multiples of {divisor} for {divisor.bit_length()}"
            raise ValueError(
                f"{rule} dim_mults, but one is {side}; the nearest that work: {nearest}"
            )


def attended_stages(sides: Sequence[int], stages: int, attention_at: Sequence[int]) -> list[bool]:
    """Whether the maps of each stage, half as large as those before, have one of some sides.

    Raises ValueError if the sides of the images are not known.
    """
    if attention_at and not sides:
        raise ValueError(f"attention_at={list(attention_at)} needs the sides of the images")
    return [any(side // 2**stage in attention_at for side in sides) for stage in range(stages)]
