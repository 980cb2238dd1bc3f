"""Attention over the positions of an image, full and linear."""

from einops import einsum, rearrange
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from ddpm_cli.shapes import Images


class Attention(nn.Module):
    """Multi-head attention over all positions (Vaswani et al. 2017)."""

    def __init__(self, channels: int, *, heads: int = 4, head_dim: int = 32) -> None:
        super().__init__()
        self.heads = heads
        self.to_qkv = nn.Conv2d(channels, heads * head_dim * 3, 1, bias=False)
        self.to_out = nn.Conv2d(heads * head_dim, channels, 1)

    def forward(self, x: Images) -> Images:
        q, k, v = rearrange(self.to_qkv(x), "b (three h d) y x -> three b h (y x) d", three=3, h=self.heads)
        out = scaled_dot_product_attention(q, k, v)
        return self.to_out(rearrange(out, "b h (y x) d -> b (h d) y x", y=x.shape[2]))


class LinearAttention(nn.Module):
    """Attention at a cost linear in the positions: q softmax over features, k over positions (Shen et al. 2018)."""

    def __init__(self, channels: int, *, heads: int = 4, head_dim: int = 32) -> None:
        super().__init__()
        self.heads, self.scale = heads, head_dim**-0.5
        self.to_qkv = nn.Conv2d(channels, heads * head_dim * 3, 1)
        self.to_out = nn.Sequential(nn.Conv2d(heads * head_dim, channels, 1), nn.GroupNorm(1, channels))

    def forward(self, x: Images) -> Images:
        q, k, v = rearrange(self.to_qkv(x), "b (three h d) y x -> three b h d (y x)", three=3, h=self.heads)
        context = einsum(k.softmax(dim=-1), v, "b h d n, b h e n -> b h d e")
        out = einsum(context, q.softmax(dim=-2) * self.scale, "b h d e, b h d n -> b h e n")
        return self.to_out(rearrange(out, "b h e (y x) -> b (h e) y x", y=x.shape[2]))


class Attend(nn.Module):
    """x + attention(norm(x))."""

    def __init__(self, channels: int, attention: nn.Module) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.attention = attention

    def forward(self, x: Images) -> Images:
        return x + self.attention(self.norm(x))
