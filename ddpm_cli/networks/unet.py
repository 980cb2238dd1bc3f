"""The UNet: a stem, stages going down and up with skips between them, a head."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Literal, TypeAlias

import torch
from torch import nn

from ddpm_cli.networks.attention import Attend, Attention, LinearAttention
from ddpm_cli.networks.blocks import Block, SinusoidalEmbedding, convnext_block, resnet_block
from ddpm_cli.networks.layers import Pointwise
from ddpm_cli.shapes import Features, Labels, Maps, NetworkTimes

Through: TypeAlias = Callable[..., Maps]  # calls a part of the network


def call_directly(part: nn.Module, *inputs: Maps | Features) -> Maps:
    """Calls a part; operator.call does the same, but ends torch.compile's graph."""
    return part(*inputs)


class Stage(nn.Module):
    """Two blocks and linear attention at one resolution."""

    def __init__(self, first: nn.Module, second: nn.Module, attend: nn.Module) -> None:
        super().__init__()
        self.first, self.second, self.attend = first, second, attend

    def forward(self, x: Maps, embedding: Features, through: Through) -> Maps:
        return through(
            self.attend, through(self.second, through(self.first, x, embedding), embedding)
        )


class UNet(nn.Module):
    """Images [B, in_channels, H, W] and times [B] -> [B, out_channels, H, W]; H and W divide by 2^(stages - 1).

    classes counts labels; where there are any, label int64 [B] holds -1 for none.
    dim: the base width; dim_mults: the width of each stage over it, resolution halving from one stage to the next.
    ResNet widths are multiples of `groups`. Raises ValueError for widths and sizes that do not fit.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        classes: int = 0,
        *,
        dim: int,
        dim_mults: Sequence[int] = (1, 2, 4, 8),
        block: Literal["resnet", "convnext"] = "resnet",
        groups: int = 8,
        convnext_mult: int = 2,
        heads: int = 4,
        head_dim: int = 32,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        stem, *widths = dim // 3 * 2, *(dim * mult for mult in dim_mults)
        check_unet_options(
            dropout, groups=groups, convnext_mult=convnext_mult, heads=heads, head_dim=head_dim
        )
        check_widths(dim, dim_mults, groups if block == "resnet" else 1)
        time = 4 * dim
        convnext = partial(convnext_block, mult=convnext_mult, dropout=dropout)
        new: Callable[..., Block] = {
            "resnet": partial(resnet_block, groups=groups, dropout=dropout),
            "convnext": convnext,
        }[block]

        def stage(first_in: int, first_out: int) -> Stage:
            linear = LinearAttention(first_out, heads=heads, head_dim=head_dim)
            return Stage(
                new(first_in, first_out, time),
                new(first_out, first_out, time),
                Attend(first_out, linear),
            )

        self.through: Through = call_directly  # or torch's checkpoint
        self.classes, self.divisor = classes, 2 ** (len(widths) - 1)
        self.stem = nn.Conv2d(in_channels, stem, 7, padding=3)
        self.time = nn.Sequential(
            SinusoidalEmbedding(dim), nn.Linear(dim, time), nn.GELU(), nn.Linear(time, time)
        )
        self.label = nn.Embedding(classes + 1, time) if classes else None
        self.down = nn.ModuleList(stage(a, b) for a, b in pairwise([stem, *widths]))
        self.shrink = nn.ModuleList(
            nn.Conv2d(width, width, 4, stride=2, padding=1) for width in widths[:-1]
        )
        last = widths[-1]
        self.middle_first, self.middle_second = new(last, last, time), new(last, last, time)
        self.middle_attend = Attend(last, Attention(last, heads=heads, head_dim=head_dim))
        self.up = nn.ModuleList(stage(2 * b, a) for a, b in reversed(list(pairwise(widths))))
        self.grow = nn.ModuleList(
            nn.ConvTranspose2d(width, width, 4, stride=2, padding=1)
            for width in reversed(widths[:-1])
        )
        self.head = nn.Sequential(
            new(widths[0], widths[0], None), Pointwise(widths[0], out_channels)
        )

    def forward(self, x: Maps, t: NetworkTimes, label: Labels | None = None) -> Maps:
        check_size(x.shape[2:], self.divisor)
        embedding = self.embedding(t, label)
        x = self.stem(x)
        skips = []
        for place, stage in enumerate(self.down):
            x = stage(x, embedding, self.through)
            skips.append(x)
            x = self.shrink[place](x) if place < len(self.shrink) else x
        x = self.through(self.middle_first, x, embedding)
        x = self.through(self.middle_second, self.through(self.middle_attend, x), embedding)
        for stage, grow in zip(self.up, self.grow, strict=True):
            x = grow(stage(torch.cat([x, skips.pop()], dim=1), embedding, self.through))
        return self.through(self.head, x)

    def embedding(self, t: NetworkTimes, label: Labels | None) -> Features:
        """Time, and label where the network has classes: -1, none, is the last row."""
        if self.label is None:
            assert label is None, "a network without classes takes no label"
            return self.time(t)
        label = torch.full_like(t, -1, dtype=torch.long) if label is None else label
        return self.time(t) + self.label(label.where(label >= 0, self.classes))


def check_unet_options(dropout: float, **counts: int) -> None:
    """Refuses a count below 1 and a dropout that is no probability."""
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1, but is {count}")
    if not 0 <= dropout <= 1:
        raise ValueError(f"dropout must be between 0 and 1, but is {dropout}")


def check_widths(dim: int, mults: Sequence[int], groups: int) -> None:
    """Refuses widths that cannot be built."""
    if dim < 4 or dim % 2 or not 1 <= len(mults) <= 16 or min(mults) < 1:
        rule = "dim must be even and at least 4, dim_mults 1 to 16 positive numbers"
        raise ValueError(f"{rule}, but they are {dim} and {list(mults)[:17]}")
    if uneven := [dim * mult for mult in mults if dim * mult % groups]:
        raise ValueError(
            f"ResNet widths (dim times dim_mults) must be multiples of {groups}, but one is {uneven[0]}"
        )


def check_size(sides: Sequence[int], divisor: int) -> None:
    """Refuses an image that cannot be halved often enough, and names the nearest sizes that can."""
    for side in sides:
        nearest = " and ".join(
            str(size)
            for size in (side // divisor * divisor, (side // divisor + 1) * divisor)
            if size
        )
        if side % divisor:
            rule = (
                f"image sides must be multiples of {divisor} for {divisor.bit_length()} dim_mults"
            )
            raise ValueError(f"{rule}, but one is {side}; the nearest that work: {nearest}")
