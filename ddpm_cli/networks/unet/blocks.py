"""The parts of the UNet: attention, blocks and stages."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import torch
from einops import rearrange
from torch import nn
from torch.nn import functional as F

from ddpm_cli.networks.layers import GroupNorm, Pointwise, Through
from ddpm_cli.shapes import Features, Images, Maps, NetworkTimes


class Attention(nn.Module):
    """Multi-head attention over all positions (Vaswani et al. 2017).

    linear: in the positions, by softmax of q over features, of k over positions (Shen et al. 2018).
    """

    def __init__(
        self, channels: int, *, heads: int = 4, head_dim: int = 32, linear: bool = False
    ) -> None:
        super().__init__()
        self.heads, self.linear, self.scale = heads, linear, head_dim**-0.5
        self.to_qkv = Pointwise(channels, heads * head_dim * 3, 1, bias=linear)
        out = Pointwise(heads * head_dim, channels, 1)
        self.to_out: Any = nn.Sequential(out, GroupNorm(1, channels)) if linear else out

    def forward(self, x: Images) -> Images:
        if self.linear:
            return self.attend_linearly(x)
        q, k, v = rearrange(
            self.to_qkv(x), "b (three h d) y x -> three b h (y x) d", three=3, h=self.heads
        )
        out = F.scaled_dot_product_attention(q, k, v)
        out = rearrange(out, "b h (y x) d -> b y x (h d)", y=x.shape[2])
        return self.to_out(out.permute(0, 3, 1, 2))

    def attend_linearly(self, x: Images) -> Images:
        """Attend with positions in the last axis, where softmax is fast and products copy none."""
        qkv = self.to_qkv.product(x.flatten(2))
        q, k, v = rearrange(qkv, "b (three h d) n -> three b h d n", three=3, h=self.heads)
        # The kernels sum in fp32; without a type autocast would store fp32 maps.
        weights_of_k, weights_of_q = (
            part.softmax(dim=axis, dtype=part.dtype) for part, axis in ((k, -1), (q, -2))
        )
        context = self.scale * (v @ weights_of_k.transpose(-1, -2))
        project, norm = self.to_out
        out = (context @ weights_of_q).flatten(1, 2)
        out = project.product(out, channels_last=not x.is_contiguous())
        return norm(rearrange(out, "b c (y x) -> b c y x", y=x.shape[2]))


class Attend(nn.Module):
    """x + attention(norm(x))."""

    def __init__(self, channels: int, attention: nn.Module) -> None:
        super().__init__()
        self.norm = GroupNorm(1, channels)
        self.attention = attention

    def forward(self, x: Images) -> Images:
        return x + self.attention(self.norm(x))


class SinusoidalEmbedding(nn.Module):
    """Times as sines then cosines, frequencies 10000^(-i / (size/2 - 1)) (Vaswani et al. 2017)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.frequencies = size // 2

    def forward(self, t: NetworkTimes) -> Features:
        places = torch.arange(self.frequencies, device=t.device, dtype=torch.float32)
        angles = t[:, None] * torch.exp(places * (-math.log(10000) / (self.frequencies - 1)))
        return torch.cat([angles.sin(), angles.cos()], dim=1)


class Block(nn.Module):
    """second(first(x) + time(embedding)) + shortcut(x).

    The shortcut is a 1x1 convolution where the widths differ.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        first: nn.Module,
        time: nn.Module | None,
        second: nn.Module,
    ) -> None:
        super().__init__()
        self.first, self.time, self.second = first, time, second
        same = in_channels == out_channels
        self.shortcut = nn.Identity() if same else Pointwise(in_channels, out_channels, 1)

    def forward(self, x: Maps, embedding: Features | None = None) -> Maps:
        hidden = self.first(x)
        if self.time is not None:
            hidden = hidden + rearrange(self.time(embedding), "b c -> b c 1 1")
        return self.second(hidden) + self.shortcut(x)


def resnet_block(
    in_channels: int, out_channels: int, time: int | None, *, groups: int = 8, dropout: float = 0.0
) -> Block:
    """[conv 3x3, group norm, SiLU] twice, the time between (He et al. 2015; Ho et al. 2020)."""
    # The order of the layers decides their initial weights: time, second, first.
    projection = nn.Sequential(nn.SiLU(), nn.Linear(time, out_channels)) if time else None
    last = nn.Conv2d(out_channels, out_channels, 3, padding=1)
    second = nn.Sequential(nn.Dropout(dropout), last, GroupNorm(groups, out_channels), nn.SiLU())
    conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)
    first = nn.Sequential(conv, GroupNorm(groups, out_channels), nn.SiLU())
    return Block(in_channels, out_channels, first, projection, second)


def convnext_block(
    in_channels: int, out_channels: int, time: int | None, *, mult: int = 2, dropout: float = 0.0
) -> Block:
    """Depthwise conv 7x7, the time, then two convs 3x3 through a wider middle (Liu et al. 2022)."""
    wide = out_channels * mult
    projection = nn.Sequential(nn.GELU(), nn.Linear(time, in_channels)) if time else None
    rise = [GroupNorm(1, in_channels), nn.Conv2d(in_channels, wide, 3, padding=1), nn.GELU()]
    fall = [GroupNorm(1, wide), nn.Dropout(dropout), nn.Conv2d(wide, out_channels, 3, padding=1)]
    depthwise = nn.Conv2d(in_channels, in_channels, 7, padding=3, groups=in_channels)
    return Block(in_channels, out_channels, depthwise, projection, nn.Sequential(*rise, *fall))


NewBlock: TypeAlias = Callable[[int, int, int | None], Block]  # widths in, out and of the time


def block_of_kind(kind: str, groups: int, convnext_mult: int, dropout: float) -> NewBlock:
    """What builds the blocks of a kind."""
    kinds: dict[str, NewBlock] = {
        "resnet": partial(resnet_block, groups=groups, dropout=dropout),
        "convnext": partial(convnext_block, mult=convnext_mult, dropout=dropout),
    }
    return kinds[kind]


class Stage(nn.Module):
    """Two blocks and attention, linear or full, at one resolution."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        linear: bool = True,
        *,
        block: NewBlock,
        time: int,
        heads: int,
        head_dim: int,
    ) -> None:
        super().__init__()
        # The order of the layers decides their initial weights: attention before blocks.
        attention = Attention(out_channels, heads=heads, head_dim=head_dim, linear=linear)
        self.first = block(in_channels, out_channels, time)
        self.second = block(out_channels, out_channels, time)
        self.attend = Attend(out_channels, attention)

    def forward(self, x: Maps, embedding: Features, through: Through) -> Maps:
        x = through(self.second, through(self.first, x, embedding), embedding)
        return through(self.attend, x)
