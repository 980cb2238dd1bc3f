"""The levels of the reference UNet: their widths, their blocks, where they attend."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeAlias

from torch import nn

from ddpm_cli.networks.layers import Through
from ddpm_cli.networks.reference.blocks import (
    Doubling,
    Halving,
    Padding,
    ResidualBlock,
    Resize,
    SelfAttention,
    double_maps,
    halve_maps,
)
from ddpm_cli.shapes import Features, Maps

Resample: TypeAlias = Literal["conv", "block"]
MOST_BLOCKS = 64  # of a level


class Layer(nn.Module):
    """A residual block, and attention if there is any."""

    def __init__(self, block: ResidualBlock, attention: SelfAttention | None) -> None:
        super().__init__()
        self.block, self.attention = block, attention

    def forward(self, x: Maps, embedding: Features, through: Through) -> Maps:
        x = through(self.block, x, embedding)
        return x if self.attention is None else through(self.attention, x)


class Level(nn.Module):
    """The layers at one size of the maps, and the step to the next size; None at the last."""

    def __init__(self, layers: Sequence[Layer], resample: nn.Module | None) -> None:
        super().__init__()
        self.layers, self.resample = nn.ModuleList(layers), resample


@dataclass(frozen=True)
class Plan:
    """The levels from the largest maps down, and what they are built of.

    blocks: of a level on the way down; one more on the way up. attended: whether a level has
    attention. block, attention: a block of two widths, attention of one.
    """

    widths: Sequence[int]
    blocks: int
    attended: Sequence[bool]
    block: Callable[..., ResidualBlock]
    attention: Callable[[int], SelfAttention]
    resample: Resample
    padding: Padding

    def __post_init__(self) -> None:
        if not 1 <= self.blocks <= MOST_BLOCKS:
            raise ValueError(f"blocks must be between 1 and {MOST_BLOCKS}, but is {self.blocks}")

    def down(self) -> nn.ModuleList:
        """The levels on the way down, each but the last with a step to half the size."""
        levels = []
        for place, width in enumerate(self.widths):
            inputs = [self.entering(place), *[width] * (self.blocks - 1)]
            is_last, shrink = place == len(self.widths) - 1, partial(Halving, width, self.padding)
            step = None if is_last else self.step(width, halve_maps, shrink)
            levels.append(Level([self.layer(each, place) for each in inputs], step))
        return nn.ModuleList(levels)

    def middle(self) -> nn.ModuleList:
        """Attention between two blocks."""
        width = self.widths[-1]
        return nn.ModuleList(
            [self.block(width, width), self.attention(width), self.block(width, width)]
        )

    def up(self) -> nn.ModuleList:
        """The levels on the way up, each but the last with a step to twice the size."""
        levels = []
        for place, width in reversed([*enumerate(self.widths)]):
            below = self.widths[min(place + 1, len(self.widths) - 1)]
            between = [2 * width] * (self.blocks - 1)
            inputs = [below + width, *between, width + self.entering(place)]
            step = self.step(width, double_maps, partial(Doubling, width)) if place else None
            levels.append(Level([self.layer(each, place) for each in inputs], step))
        return nn.ModuleList(levels)

    def entering(self, place: int) -> int:
        """The width that enters a level on the way down."""
        return self.widths[max(0, place - 1)]

    def layer(self, in_channels: int, place: int) -> Layer:
        """A layer of a level."""
        width = self.widths[place]
        attention = self.attention(width) if self.attended[place] else None
        return Layer(self.block(in_channels, width), attention)

    def step(self, width: int, resize: Resize, convolve: Callable[[], nn.Module]) -> nn.Module:
        """A step to another size, by a block or by a convolution."""
        if self.resample == "block":
            return self.block(width, width, resize=resize)
        return convolve()


def level_widths(dim: int, mults: Sequence[float], groups: int) -> list[int]:
    """The width of each level; ValueError for widths that cannot be built."""
    if dim < 4 or dim % 2 or not 1 <= len(mults) <= 16 or min(mults) <= 0:
        rule = "dim must be even and at least 4, dim_mults 1 to 16 positive numbers"
        raise ValueError(f"{rule}, but they are {dim} and {list(mults)[:17]}")
    widths = [int(dim * mult) for mult in mults]
    if groups < 1 or any(width % groups or not width for width in widths):
        rule = "widths (dim times dim_mults) must be multiples of groups"
        raise ValueError(f"{rule}, but they are {widths} and groups is {groups}")
    return widths
