"""Attention over the positions of an image, full and linear."""

from einops import rearrange
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from ddpm_cli.networks.layers import GroupNorm, Pointwise
from ddpm_cli.shapes import Heads, Images, Maps


class Attention(nn.Module):
    """Multi-head attention over all positions (Vaswani et al. 2017)."""

    def __init__(self, channels: int, *, heads: int = 4, head_dim: int = 32) -> None:
        super().__init__()
        self.heads = heads
        self.to_qkv = Pointwise(channels, heads * head_dim * 3, bias=False)
        self.to_out = Pointwise(heads * head_dim, channels)

    def forward(self, x: Images) -> Images:
        q, k, v = rearrange(
            self.to_qkv(x), "b (three h d) y x -> three b h (y x) d", three=3, h=self.heads
        )
        out = scaled_dot_product_attention(q, k, v)
        return self.to_out(join_heads(out, x.shape[2]))


class LinearAttention(nn.Module):
    """Attention at a cost linear in the positions: q softmax over features, k over positions (Shen et al. 2018)."""

    def __init__(self, channels: int, *, heads: int = 4, head_dim: int = 32) -> None:
        super().__init__()
        self.heads, self.scale = heads, head_dim**-0.5
        self.to_qkv = Pointwise(channels, heads * head_dim * 3)
        self.to_out = nn.Sequential(Pointwise(heads * head_dim, channels), GroupNorm(1, channels))

    def forward(self, x: Images) -> Images:
        q, k, v = rearrange(
            self.to_qkv(x), "b (three h d) y x -> three b h (y x) d", three=3, h=self.heads
        )
        context = self.scale * (k.softmax(dim=-2).transpose(-1, -2) @ v)
        return self.to_out(join_heads(q.softmax(dim=-1) @ context, x.shape[2]))


class Attend(nn.Module):
    """x + attention(norm(x))."""

    def __init__(self, channels: int, attention: nn.Module) -> None:
        super().__init__()
        self.norm = GroupNorm(1, channels)
        self.attention = attention

    def forward(self, x: Images) -> Images:
        return x + self.attention(self.norm(x))


def join_heads(out: Heads, rows: int) -> Maps:
    """What the heads say as maps, channels last in memory."""
    return rearrange(out, "b h (y x) d -> b y x (h d)", y=rows).permute(0, 3, 1, 2)
