"""The UNet of public checkpoints: Ho et al. 2020, Improved DDPM (2021) and ADM (2021)."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from ddpm_cli.networks.layers import GroupNorm, Sines, Through, attended_stages, check_sides
from ddpm_cli.networks.reference.blocks import (
    Padding,
    QkvOrder,
    ResidualBlock,
    SelfAttention,
    TimeAndLabel,
    TimeUse,
)
from ddpm_cli.networks.reference.initial_weights import Initial, initialise
from ddpm_cli.networks.reference.levels import Plan, Resample, level_widths
from ddpm_cli.shapes import Labels, Maps, NetworkTimes


class ReferenceUNet(nn.Module):
    """Images [B, in_channels, H, W] and times [B] -> [B, out_channels, H, W].

    sides: H and W of the images, which attention_at needs. H and W divide by 2^(levels - 1).
    dim: the base width. dim_mults: the width of each level over dim; each level halves the maps.
    blocks: those of a level on the way down; one more on the way up. attention_at: sides of maps
    with attention; the smallest maps have it in the middle. heads, or the width head_dim of one.
    classes, null_label: rows of the embedding of labels; the last, of no label (-1), may be absent.
    Raises ValueError for widths and sizes that do not fit.
    """

    half_precision_layers = nn.Conv2d, nn.Linear, nn.GroupNorm

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        classes: int = 0,
        sides: Sequence[int] = (),
        *,
        dim: int,
        dim_mults: Sequence[float] = (1, 2, 2, 2),
        blocks: int = 2,
        attention_at: Sequence[int] = (),
        heads: int = 1,
        head_dim: int | None = None,
        qkv: QkvOrder = "parts",
        groups: int = 32,
        norm_eps: float = 1e-5,
        dropout: float = 0.0,
        time: TimeUse = "added",
        resample: Resample = "conv",
        padding: Padding = "all",
        sines_first: bool = False,
        freq_shift: float = 0.0,
        initial: Initial = "torch",
        zero_last: bool = True,
        null_label: bool = True,
    ) -> None:
        super().__init__()
        widths = level_widths(dim, dim_mults, groups)
        attended = attended_stages(sides, len(widths), attention_at)
        norm = partial(GroupNorm, groups, eps=norm_eps)
        block = partial(ResidualBlock, embedding=4 * dim, time=time, norm=norm, dropout=dropout)
        attention = partial(SelfAttention, heads=heads, head_dim=head_dim, qkv=qkv, norm=norm)
        plan = Plan(widths, blocks, attended, block, attention, resample, padding)
        self.through: Through = lambda part, *inputs: part(*inputs)
        self.embed = TimeAndLabel(Sines(dim, freq_shift, sines_first), 4 * dim, classes, null_label)
        self.stem = nn.Conv2d(in_channels, widths[0], 3, padding=1)
        self.down, self.middle, self.up = plan.down(), plan.middle(), plan.up()
        last = nn.Conv2d(widths[0], out_channels, 3, padding=1)
        self.head = nn.Sequential(norm(widths[0]), nn.SiLU(), last)
        initialise(self, last, initial, zero_last)

    def forward(self, x: Maps, t: NetworkTimes, label: Labels | None = None) -> Maps:
        check_sides(x.shape[2:], 2 ** (len(self.down) - 1))
        embedding = self.embed(t, label)
        skips = [self.stem(x)]
        level: Any  # its attributes are not known to types of torch
        for level in self.down:
            for layer in level.layers:
                skips.append(layer(skips[-1], embedding, self.through))
            if level.resample is not None:
                skips.append(self.through(level.resample, skips[-1], embedding))
        first, attention, second = self.middle
        x = self.through(attention, self.through(first, skips[-1], embedding))
        x = self.through(second, x, embedding)
        for level in self.up:
            for layer in level.layers:
                x = layer(torch.cat([x, skips.pop()], dim=1), embedding, self.through)
            x = x if level.resample is None else self.through(level.resample, x, embedding)
        return self.through(self.head, x)
