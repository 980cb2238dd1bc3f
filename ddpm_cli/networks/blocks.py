"""The convolutional blocks of the UNet: features in, features and time out."""

import math

import torch
from einops import rearrange
from torch import nn

from ddpm_cli.networks.layers import GroupNorm, Pointwise
from ddpm_cli.shapes import Features, Maps, NetworkTimes


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
    """first, the projected time added, second; plus the input, through a 1x1 convolution where widths differ."""

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
        self.shortcut = (
            Pointwise(in_channels, out_channels) if in_channels != out_channels else nn.Identity()
        )

    def forward(self, x: Maps, embedding: Features | None = None) -> Maps:
        hidden = self.first(x)
        if self.time is not None:
            hidden = hidden + rearrange(self.time(embedding), "b c -> b c 1 1")
        return self.second(hidden) + self.shortcut(x)


def resnet_block(
    in_channels: int, out_channels: int, time: int | None, *, groups: int = 8, dropout: float = 0.0
) -> Block:
    """[conv 3x3, group norm, SiLU] twice, the time between them (He et al. 2015; Ho et al. 2020)."""

    def half(channels: int) -> list[nn.Module]:
        return [
            nn.Conv2d(channels, out_channels, 3, padding=1),
            GroupNorm(groups, out_channels),
            nn.SiLU(),
        ]

    projection = nn.Sequential(nn.SiLU(), nn.Linear(time, out_channels)) if time else None
    second = nn.Sequential(nn.Dropout(dropout), *half(out_channels))
    return Block(in_channels, out_channels, nn.Sequential(*half(in_channels)), projection, second)


def convnext_block(
    in_channels: int, out_channels: int, time: int | None, *, mult: int = 2, dropout: float = 0.0
) -> Block:
    """Depthwise conv 7x7, the time, then two convs 3x3 through a wider middle (Liu et al. 2022)."""
    wide, projection = (
        out_channels * mult,
        nn.Sequential(nn.GELU(), nn.Linear(time, in_channels)) if time else None,
    )
    rise = [GroupNorm(1, in_channels), nn.Conv2d(in_channels, wide, 3, padding=1), nn.GELU()]
    fall = [GroupNorm(1, wide), nn.Dropout(dropout), nn.Conv2d(wide, out_channels, 3, padding=1)]
    depthwise = nn.Conv2d(in_channels, in_channels, 7, padding=3, groups=in_channels)
    return Block(in_channels, out_channels, depthwise, projection, nn.Sequential(*rise, *fall))
