"""DiT: a transformer over patches of pixels, steered by the time and the label.

Peebles & Xie 2023, with pixels in place of latents.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from ddpm_cli.networks.layers import Through
from ddpm_cli.shapes import Features, Labels, Maps, NetworkTimes, Tokens

FREQUENCIES = 128  # of the sines and cosines of a time
DEEPEST = 512  # blocks
Layer = TypeVar("Layer", nn.Linear, nn.Conv2d)
even = nn.init.xavier_uniform_
narrow = partial(nn.init.normal_, std=0.02)
zero = nn.init.zeros_


class DiT(nn.Module):
    """Images [B, in_channels, H, W] and times [B] -> [B, out_channels, H, W].

    H and W are multiples of `patch`. With classes > 0, label int64 [B] holds -1 for no label.
    hidden: the width, a multiple of `heads` and of 4. depth: the number of blocks.
    Raises ValueError for widths and sizes that do not fit.
    half_precision_layers: all but the embedding of labels compute in half precision where asked.
    """

    half_precision_layers = nn.Conv2d, nn.Linear

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        classes: int = 0,
        *,
        hidden: int,
        depth: int,
        heads: int,
        patch: int,
    ) -> None:
        super().__init__()
        check_dit_options(hidden, depth, heads, patch)
        # A part is called directly, or by torch's checkpoint.
        self.through: Through = lambda part, *inputs: part(*inputs)
        self.classes, self.patch = classes, patch
        # Names and order of the layers are those of checkpoints and of the initial weights.
        self.stem = with_weights(nn.Conv2d(in_channels, hidden, patch, stride=patch), even)
        first, second = nn.Linear(2 * FREQUENCIES, hidden), nn.Linear(hidden, hidden)
        self.time = nn.Sequential(
            with_weights(first, narrow), nn.SiLU(), with_weights(second, narrow)
        )
        self.label = nn.Embedding(classes + 1, hidden) if classes else None
        if self.label is not None:
            narrow(self.label.weight)
        self.blocks = nn.ModuleList(SteeredBlock(hidden, heads) for _ in range(depth))
        self.head = SteeredHead(hidden, patch**2 * out_channels)

    def forward(self, x: Maps, t: NetworkTimes, label: Labels | None = None) -> Maps:
        rows, columns = (side // self.patch for side in x.shape[2:])
        if any(side % self.patch for side in x.shape[2:]):
            raise ValueError(patch_rule(x.shape[2:], self.patch))
        angles = sine_angles(t, FREQUENCIES)
        steering = self.time(torch.cat([angles.cos(), angles.sin()], dim=1))
        if self.label is not None:  # -1, no label, is the last row
            label = torch.full_like(t, -1, dtype=torch.long) if label is None else label
            steering = steering + self.label(label.where(label >= 0, self.classes))
        else:
            assert label is None, "a network without classes takes no label"
        tokens = rearrange(self.stem(x), "b d y x -> b (y x) d")
        tokens = tokens + grid_positions(rows, columns, tokens.shape[2], x.device)
        for block in self.blocks:
            tokens = self.through(block, tokens, steering)
        pixels = self.through(self.head, tokens, steering)
        axes = "b (y x) (p q c) -> b c (y p) (x q)"
        return rearrange(pixels, axes, y=rows, x=columns, p=self.patch, q=self.patch)


class SteeredBlock(nn.Module):
    """Attention, then an MLP; the steering shifts and scales their input and scales their output.

    At the start it returns its input, because all of the steering is zero (adaLN-Zero).
    """

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.attention = TokenAttention(hidden, heads)
        rise = with_weights(nn.Linear(hidden, 4 * hidden), even)
        fall = with_weights(nn.Linear(4 * hidden, hidden), even)
        self.mlp = nn.Sequential(rise, nn.GELU(approximate="tanh"), fall)
        self.steer = nn.Sequential(nn.SiLU(), with_weights(nn.Linear(hidden, 6 * hidden), zero))

    def forward(self, tokens: Tokens, steering: Features) -> Tokens:
        shift, scale, gate, *others = self.steer(steering)[:, None].chunk(6, dim=2)
        tokens = tokens + gate * self.attention(shift_and_scale(tokens, shift, scale))
        shift, scale, gate = others
        return tokens + gate * self.mlp(shift_and_scale(tokens, shift, scale))


class TokenAttention(nn.Module):
    """Multi-head attention over all tokens (Vaswani et al. 2017)."""

    def __init__(self, hidden: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_qkv = with_weights(nn.Linear(hidden, 3 * hidden), even)
        self.to_out = with_weights(nn.Linear(hidden, hidden), even)

    def forward(self, tokens: Tokens) -> Tokens:
        axes = "b n (three h d) -> three b h n d"
        q, k, v = rearrange(self.to_qkv(tokens), axes, three=3, h=self.heads)
        out = F.scaled_dot_product_attention(q, k, v)
        return self.to_out(rearrange(out, "b h n d -> b n (h d)"))


class SteeredHead(nn.Module):
    """The pixels of each patch, of a token that the steering shifts and scales; zero at first."""

    def __init__(self, hidden: int, pixels: int) -> None:
        super().__init__()
        self.to_pixels = with_weights(nn.Linear(hidden, pixels), zero)
        self.steer = nn.Sequential(nn.SiLU(), with_weights(nn.Linear(hidden, 2 * hidden), zero))

    def forward(self, tokens: Tokens, steering: Features) -> Tensor:
        shift, scale = self.steer(steering)[:, None].chunk(2, dim=2)
        return self.to_pixels(shift_and_scale(tokens, shift, scale))


def shift_and_scale(tokens: Tokens, shift: Tokens, scale: Tokens) -> Tokens:
    """shift + (1 + scale) layer_norm(tokens), with one shift and scale for each image."""
    return torch.addcmul(shift, F.layer_norm(tokens, tokens.shape[2:], eps=1e-6), 1 + scale)


def sine_angles(values: Tensor, count: int) -> Tensor:
    """values [n] times the frequencies 10000^(-i / count), i < count: [n, count]."""
    places = torch.arange(count, device=values.device, dtype=torch.float32)
    return values[:, None] * torch.exp(places * (-math.log(10000) / count))


def grid_positions(rows: int, columns: int, size: int, device: torch.device) -> Tensor:
    """Sines and cosines of the column, then of the row, of each place: [rows columns, size]."""
    angles = (
        sine_angles(torch.arange(count, device=device), size // 4) for count in (columns, rows)
    )
    across, down = (torch.cat([each.sin(), each.cos()], dim=1) for each in angles)
    across = across.expand(rows, -1, -1)
    return torch.cat([across, down[:, None].expand_as(across)], dim=2).flatten(0, 1)


def with_weights(layer: Layer, fill: Callable[[Tensor], Tensor]) -> Layer:
    """A layer whose weight is filled as a matrix [outputs, inputs], and whose bias is zero."""
    fill(layer.weight.flatten(1))
    if isinstance(layer.bias, Tensor):
        nn.init.zeros_(layer.bias)
    return layer


def check_dit_options(hidden: int, depth: int, heads: int, patch: int) -> None:
    """Raise ValueError for counts below 1, too many blocks, and a width that does not divide."""
    for name, count in {"heads": heads, "patch": patch, "hidden": hidden}.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1, but is {count}")
    if not 1 <= depth <= DEEPEST:
        raise ValueError(f"depth must be between 1 and {DEEPEST}, but is {depth}")
    if hidden % math.lcm(4, heads):
        rule = f"hidden must be a multiple of 4 and of heads={heads}"
        raise ValueError(f"{rule}, but is {hidden}")


def patch_rule(sides: Sequence[int], patch: int) -> str:
    """The rule that the sides of an image break, and the nearest sides that do not."""
    side = next(side for side in sides if side % patch)
    below = side // patch * patch
    nearest = " and ".join(str(size) for size in (below, below + patch) if size)
    rule = f"image sides must be multiples of patch={patch}"
    return f"{rule}, but one is {side}; the nearest that work: {nearest}"
