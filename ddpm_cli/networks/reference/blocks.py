"""The parts of the reference UNet: features of times, residual blocks, attention, resampling."""

from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias

from einops import rearrange
from torch import nn
from torch.nn import functional as F

from ddpm_cli.networks.layers import GroupNorm, Pointwise, Sines
from ddpm_cli.shapes import Features, Labels, Maps, NetworkTimes, Resized

TimeUse: TypeAlias = Literal["added", "scale_shift"]
Padding: TypeAlias = Literal["all", "end"]
QkvOrder: TypeAlias = Literal["parts", "heads"]
Norm: TypeAlias = Callable[[int], GroupNorm]  # of a width
Resize: TypeAlias = Callable[[Maps], Resized]

keep_maps: Resize = nn.Identity()
halve_maps: Resize = partial(F.avg_pool2d, kernel_size=2)
double_maps: Resize = partial(F.interpolate, scale_factor=2)


class TimeAndLabel(nn.Module):
    """The features of times, and of labels if there are classes, for all blocks.

    needs_label: whether -1, no label, has no row of the embedding, which else is the last.
    """

    def __init__(self, sines: Sines, width: int, classes: int, null_label: bool) -> None:
        super().__init__()
        self.classes, self.needs_label = classes, classes > 0 and not null_label
        size = 2 * sines.count
        mlp = nn.Linear(size, width), nn.SiLU(), nn.Linear(width, width)
        self.time = nn.Sequential(sines, *mlp)
        self.label = nn.Embedding(classes + null_label, width) if classes else None

    def forward(self, t: NetworkTimes, label: Labels | None) -> Features:
        features = self.time(t)
        if self.label is None:
            assert label is None, "a network without classes takes no label"
        elif label is None:
            assert not self.needs_label, "the denoiser refuses images without a label"
            features = features + self.label.weight[-1]
        else:
            features = features + self.label(label.where(label >= 0, self.classes))
        return F.silu(features)


class ResidualBlock(nn.Module):
    """x + conv(norm(conv(norm(x)))) with SiLU after each norm (Ho et al. 2020).

    The time is added before the second norm, or scales and shifts its output (Dhariwal & Nichol
    2021). resize: what changes the size of the maps before the first convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        embedding: int,
        time: TimeUse,
        norm: Norm,
        dropout: float,
        resize: Resize = keep_maps,
    ) -> None:
        super().__init__()
        self.resize, self.is_scaled = resize, time == "scale_shift"
        # The order of the layers is that of public codes.
        self.first_norm = norm(in_channels)
        self.first = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time = nn.Linear(embedding, out_channels * (1 + self.is_scaled))
        self.second_norm = norm(out_channels)
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        same = in_channels == out_channels
        self.shortcut = nn.Identity() if same else Pointwise(in_channels, out_channels, 1)

    def forward(self, x: Maps, embedding: Features) -> Resized:
        hidden = self.first(self.resize(F.silu(self.first_norm(x))))
        time = rearrange(self.time(embedding), "b c -> b c 1 1")
        if self.is_scaled:
            scale, shift = time.chunk(2, dim=1)
            hidden = self.second_norm(hidden) * (1 + scale) + shift
        else:
            hidden = self.second_norm(hidden + time)
        return self.shortcut(self.resize(x)) + self.last(self.dropout(F.silu(hidden)))


class SelfAttention(nn.Module):
    """x + the attention of norm(x) over all positions.

    head_dim: the width of a head in place of the number of heads. qkv: the order of the features
    of the joint projection, first by q, k and v or first by heads.
    """

    def __init__(
        self, channels: int, *, heads: int, head_dim: int | None, qkv: QkvOrder, norm: Norm
    ) -> None:
        super().__init__()
        name, divisor = ("heads", heads) if head_dim is None else ("head_dim", head_dim)
        if divisor < 1:
            raise ValueError(f"{name} must be at least 1, but is {divisor}")
        if channels % divisor:
            rule = f"the width of maps with attention ({channels}) must be a multiple of"
            raise ValueError(f"{rule} {name}={divisor}")
        self.heads = heads if head_dim is None else channels // head_dim
        axes = {"parts": "three h d", "heads": "h three d"}[qkv]
        self.split = f"b ({axes}) y x -> three b h (y x) d"
        self.norm = norm(channels)
        self.qkv = Pointwise(channels, 3 * channels, 1)
        self.last = Pointwise(channels, channels, 1)

    def forward(self, x: Maps) -> Maps:
        q, k, v = rearrange(self.qkv(self.norm(x)), self.split, three=3, h=self.heads)
        out = F.scaled_dot_product_attention(q, k, v)
        out = rearrange(out, "b h (y x) d -> b y x (h d)", y=x.shape[2])
        return x + self.last(out.permute(0, 3, 1, 2))


class Halving(nn.Module):
    """A strided convolution 3x3, padded on all sides or at the right and the bottom alone."""

    def __init__(self, channels: int, padding: Padding) -> None:
        super().__init__()
        self.is_even = padding == "all"
        self.shrink = nn.Conv2d(channels, channels, 3, stride=2, padding=int(self.is_even))

    def forward(self, x: Maps, embedding: Features) -> Resized:
        return self.shrink(x if self.is_even else F.pad(x, (0, 1, 0, 1)))


class Doubling(nn.Module):
    """A convolution 3x3 of repeated pixels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.grow = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Maps, embedding: Features) -> Resized:
        return self.grow(double_maps(x))
