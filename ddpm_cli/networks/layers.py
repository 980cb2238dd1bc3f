"""Layers that torch has, made to copy nothing: neither where channels lie last nor under autocast."""

from contextlib import nullcontext

import torch
from torch import nn
from torch.amp import is_autocast_available
from torch.nn import functional as F

from ddpm_cli.shapes import Maps


class Pointwise(nn.Conv2d):
    """A 1x1 convolution as a matrix product, which takes maps as they lie where channels lie last."""

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, 1, bias=bias)

    def forward(self, x: Maps) -> Maps:
        return F.linear(x.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(
            0, 3, 1, 2
        )


class GroupNorm(nn.GroupNorm):
    """Group norm in the type of its input: its kernels sum in fp32 anyway, and autocast would keep maps of fp32 for it."""

    def forward(self, x: Maps) -> Maps:
        kind = x.device.type
        with torch.autocast(kind, enabled=False) if is_autocast_available(kind) else nullcontext():
            return F.group_norm(
                x, self.num_groups, self.weight.to(x.dtype), self.bias.to(x.dtype), self.eps
            )
