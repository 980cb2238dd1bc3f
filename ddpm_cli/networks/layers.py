"""Layers of networks: torch's own without copies of memory, and attention over positions."""

from contextlib import nullcontext

import torch
from einops import rearrange
from torch import nn
from torch.amp import is_autocast_available
from torch.nn import functional as F

from ddpm_cli.shapes import Images, Maps


class Pointwise(nn.Conv2d):
    """A 1x1 convolution as a matrix product, which copies no maps that lie channels last."""

    def forward(self, x: Maps) -> Maps:
        out = F.linear(x.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias)
        return out.permute(0, 3, 1, 2)


class GroupNorm(nn.GroupNorm):
    """Group norm in its input's type: kernels sum in fp32, but autocast would store fp32 maps."""

    def forward(self, x: Maps) -> Maps:
        kind = x.device.type
        with torch.autocast(kind, enabled=False) if is_autocast_available(kind) else nullcontext():
            weight, bias = self.weight.to(x.dtype), self.bias.to(x.dtype)
            return F.group_norm(x, self.num_groups, weight, bias, self.eps)


class Attention(nn.Module):
    """Multi-head attention over all positions (Vaswani et al. 2017)."""

    def __init__(self, channels: int, *, heads: int = 4, head_dim: int = 32) -> None:
        super().__init__()
        self.heads = heads
        self.to_qkv = Pointwise(channels, heads * head_dim * 3, 1, bias=False)
        self.to_out = Pointwise(heads * head_dim, channels, 1)

    def forward(self, x: Images) -> Images:
        q, k, v = rearrange(
            self.to_qkv(x), "b (three h d) y x -> three b h (y x) d", three=3, h=self.heads
        )
        out = F.scaled_dot_product_attention(q, k, v)
        out = rearrange(out, "b h (y x) d -> b y x (h d)", y=x.shape[2])
        return self.to_out(out.permute(0, 3, 1, 2))


class LinearAttention(nn.Module):
    """Attention linear in the positions: q softmax over features, k over positions.

    Shen et al. 2018.
    """

    def __init__(self, channels: int, *, heads: int = 4, head_dim: int = 32) -> None:
        super().__init__()
        self.heads, self.scale = heads, head_dim**-0.5
        self.to_qkv = Pointwise(channels, heads * head_dim * 3, 1)
        self.to_out = nn.Sequential(
            Pointwise(heads * head_dim, channels, 1), GroupNorm(1, channels)
        )

    def forward(self, x: Images) -> Images:
        q, k, v = rearrange(
            self.to_qkv(x), "b (three h d) y x -> three b h (y x) d", three=3, h=self.heads
        )
        context = self.scale * (k.softmax(dim=-2).transpose(-1, -2) @ v)
        out = q.softmax(dim=-1) @ context
        out = rearrange(out, "b h (y x) d -> b y x (h d)", y=x.shape[2])
        return self.to_out(out.permute(0, 3, 1, 2))


class Attend(nn.Module):
    """x + attention(norm(x))."""

    def __init__(self, channels: int, attention: nn.Module) -> None:
        super().__init__()
        self.norm = GroupNorm(1, channels)
        self.attention = attention

    def forward(self, x: Images) -> Images:
        return x + self.attention(self.norm(x))
