"""The convolutional blocks of the UNet: features in, features and time out."""

import math

import torch
from einops import rearrange
from torch import nn

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


def projection(in_channels: int, out_channels: int) -> nn.Module:
    """A 1x1 convolution where widths differ."""
    return nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()


class ResNetBlock(nn.Module):
    """[conv 3x3, group norm, SiLU] twice, the time added between them, plus the input (He et al. 2015; Ho et al. 2020)."""

    def __init__(self, in_channels: int, out_channels: int, time: int | None, *, groups: int = 8, dropout: float = 0.0) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.SiLU(), nn.Linear(time, out_channels)) if time else None
        self.first = nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.GroupNorm(groups, out_channels), nn.SiLU())
        self.second = nn.Sequential(
            nn.Dropout(dropout), nn.Conv2d(out_channels, out_channels, 3, padding=1), nn.GroupNorm(groups, out_channels), nn.SiLU()
        )
        self.shortcut = projection(in_channels, out_channels)

    def forward(self, x: Maps, embedding: Features | None = None) -> Maps:
        hidden = self.first(x)
        if self.time is not None:
            hidden = hidden + rearrange(self.time(embedding), "b c -> b c 1 1")
        return self.second(hidden) + self.shortcut(x)


class ConvNeXtBlock(nn.Module):
    """Depthwise conv 7x7, the time added, then two convs 3x3 through a wider middle, plus the input (Liu et al. 2022)."""

    def __init__(self, in_channels: int, out_channels: int, time: int | None, *, mult: int = 2, dropout: float = 0.0) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.GELU(), nn.Linear(time, in_channels)) if time else None
        self.depthwise = nn.Conv2d(in_channels, in_channels, 7, padding=3, groups=in_channels)
        self.body = nn.Sequential(
            nn.GroupNorm(1, in_channels),
            nn.Conv2d(in_channels, out_channels * mult, 3, padding=1),
            nn.GELU(),
            nn.GroupNorm(1, out_channels * mult),
            nn.Dropout(dropout),
            nn.Conv2d(out_channels * mult, out_channels, 3, padding=1),
        )
        self.shortcut = projection(in_channels, out_channels)

    def forward(self, x: Maps, embedding: Features | None = None) -> Maps:
        hidden = self.depthwise(x)
        if self.time is not None:
            hidden = hidden + rearrange(self.time(embedding), "b c -> b c 1 1")
        return self.body(hidden) + self.shortcut(x)
