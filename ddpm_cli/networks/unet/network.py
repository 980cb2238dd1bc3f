"""The UNet: a stem, stages that go down and up with skips between them, a head."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import nn

from ddpm_cli.networks.layers import Pointwise, Through, attended_stages, check_sides
from ddpm_cli.networks.unet.blocks import (
    Attend,
    Attention,
    SinusoidalEmbedding,
    Stage,
    block_of_kind,
)
from ddpm_cli.shapes import Labels, Maps, NetworkTimes


class UNet(nn.Module):
    """Images [B, in_channels, H, W] and times [B] -> [B, out_channels, H, W].

    H and W divide by 2^(stages - 1). With classes > 0, label int64 [B] holds -1 for no label.
    dim: the base width. dim_mults: the width of each stage over dim; each stage halves the
    resolution of the one before. ResNet widths are multiples of `groups`. attention_at: sides of
    maps with full attention in place of linear; sides: H and W of the images, which it needs.
    Raises ValueError for widths and sizes that do not fit.
    half_precision_layers: all but the embedding of labels compute in half precision where asked.
    """

    half_precision_layers = nn.Conv2d, nn.ConvTranspose2d, nn.Linear, nn.GroupNorm

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        classes: int = 0,
        sides: Sequence[int] = (),
        *,
        dim: int,
        dim_mults: Sequence[int] = (1, 2, 4, 8),
        block: Literal["resnet", "convnext"] = "resnet",
        groups: int = 8,
        convnext_mult: int = 2,
        heads: int = 4,
        head_dim: int = 32,
        dropout: float = 0.0,
        attention_at: Sequence[int] = (),
    ) -> None:
        super().__init__()
        counts = {"convnext_mult": convnext_mult, "heads": heads, "head_dim": head_dim}
        check_unet_options(dim, dim_mults, block, dropout, groups=groups, **counts)
        stem, *widths = dim // 3 * 2, *(dim * mult for mult in dim_mults)
        first, last, ups, time = widths[0], widths[-1], widths[-2::-1], 4 * dim
        linear = [not each for each in attended_stages(sides, len(widths), attention_at)]
        new = block_of_kind(block, groups, convnext_mult, dropout)
        stage = partial(Stage, block=new, time=time, heads=heads, head_dim=head_dim)
        # Names and order of the layers are those of checkpoints and of the initial weights.
        # A part is called directly, or by torch's checkpoint; operator.call breaks compiled graphs.
        self.through: Through = lambda part, *inputs: part(*inputs)
        self.classes, self.divisor = classes, 2 ** (len(widths) - 1)
        self.stem = nn.Conv2d(in_channels, stem, 7, padding=3)
        mlp = nn.Linear(dim, time), nn.GELU(), nn.Linear(time, time)
        self.time = nn.Sequential(SinusoidalEmbedding(dim), *mlp)
        self.label = nn.Embedding(classes + 1, time) if classes else None
        self.down = nn.ModuleList(map(stage, [stem, *widths], widths, linear))
        self.shrink = nn.ModuleList(nn.Conv2d(w, w, 4, stride=2, padding=1) for w in widths[:-1])
        self.middle_first, self.middle_second = new(last, last, time), new(last, last, time)
        self.middle_attend = Attend(last, Attention(last, heads=heads, head_dim=head_dim))
        self.up = nn.ModuleList(map(stage, [2 * w for w in (last, *ups)], ups, linear[-2::-1]))
        self.grow = nn.ModuleList(nn.ConvTranspose2d(w, w, 4, stride=2, padding=1) for w in ups)
        self.head = nn.Sequential(new(first, first, None), Pointwise(first, out_channels, 1))

    def forward(self, x: Maps, t: NetworkTimes, label: Labels | None = None) -> Maps:
        check_sides(x.shape[2:], self.divisor)
        embedding = self.time(t)
        if self.label is not None:  # -1, no label, is the last row
            label = torch.full_like(t, -1, dtype=torch.long) if label is None else label
            embedding = embedding + self.label(label.where(label >= 0, self.classes))
        else:
            assert label is None, "a network without classes takes no label"
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


def check_unet_options(
    dim: int, mults: Sequence[int], block: str, dropout: float, **counts: int
) -> None:
    """Raise ValueError for a count below 1, a dropout outside [0, 1] and impossible widths."""
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1, but is {count}")
    if not 0 <= dropout <= 1:
        raise ValueError(f"dropout must be between 0 and 1, but is {dropout}")
    if dim < 4 or dim % 2 or not 1 <= len(mults) <= 16 or min(mults) < 1:
        rule = "dim must be even and at least 4, dim_mults 1 to 16 positive numbers"
        raise ValueError(f"{rule}, but they are {dim} and {list(mults)[:17]}")
    groups = counts["groups"] if block == "resnet" else 1
    if uneven := [dim * mult for mult in mults if dim * mult % groups]:
        rule = f"ResNet widths (dim times dim_mults) must be multiples of {groups}"
        raise ValueError(f"{rule}, but one is {uneven[0]}")
