"""The layout of maps in memory: channels last (NHWC), or first (NCHW) where that is faster."""

import time
from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from torch import nn

Layout: TypeAlias = Literal["NHWC", "NCHW"]

FORMATS = {"NHWC": torch.channels_last, "NCHW": torch.contiguous_format}
GAIN = 1.1  # least speed-up for which channels lie first
ROUNDS, GROUPS = 5, 8
SMALL = 16  # pixels of a side below which channels last are faster on every CPU
QUEUED = 5  # passes before a wait, so that the device works while Python launches


def choose_layout(
    network: nn.Module,
    device: torch.device,
    dtype: torch.dtype,
    shape: Sequence[int],
    count: int,
    *,
    compiled: bool = False,
) -> Layout:
    """Choose the faster layout for training on `count` maps of shape [..., H, W].

    A GPU tries both. A CPU is not tried, because the times of a trial vary and layouts round
    differently: with AVX2 alone, oneDNN takes 1.7 times as long for the fp32 gradients of kernels
    if channels lie last. Deterministic runs on a GPU take channels last, and so do compiled
    networks, whose group norm reads them.
    """
    conv = widest_at_full_size(network)
    has_avx2_alone = torch.backends.cpu.get_cpu_capability() == "AVX2"
    if device.type == "cpu" and has_avx2_alone and dtype == torch.float32 and not compiled:
        return "NCHW" if min(shape[-2:]) >= SMALL else "NHWC"
    settled = compiled or torch.are_deterministic_algorithms_enabled()
    if device.type != "cuda" or settled or conv is None:
        return "NHWC"
    maps = torch.ones(count, conv.in_channels, *shape[-2:], device=device, dtype=dtype)
    return faster_layout({layout: layout_seconds(maps, layout) for layout in FORMATS})


def faster_layout(seconds: dict[str, float]) -> Layout:
    """NCHW if it is clearly faster, else NHWC."""
    return "NCHW" if GAIN * seconds["NCHW"] < seconds["NHWC"] else "NHWC"


def widest_at_full_size(network: nn.Module) -> nn.Conv2d | None:
    """The first 3x3 convolution between equal widths, which sees the largest maps."""
    convs = (layer for layer in network.modules() if isinstance(layer, nn.Conv2d))
    same = (conv for conv in convs if conv.in_channels == conv.out_channels)
    return next((c for c in same if c.kernel_size == (3, 3) and c.in_channels % GROUPS == 0), None)


def layout_seconds(maps: torch.Tensor, layout: str) -> float:
    """The seconds of convolution, group norm and SiLU, forward and backward, in a layout."""
    channels = maps.shape[1]
    conv = nn.Conv2d(channels, channels, 3, padding=1)
    layers = nn.Sequential(conv, nn.GroupNorm(GROUPS, channels), nn.SiLU())
    layers = layers.to(maps.device, maps.dtype).to(memory_format=FORMATS[layout])
    maps = maps.contiguous(memory_format=FORMATS[layout]).requires_grad_()
    seconds = list[float]()
    for _ in range(1 + ROUNDS):
        since = time.perf_counter()
        for _ in range(QUEUED):
            gradient, *_ = torch.autograd.grad(layers(maps).sum(), (maps, *layers.parameters()))
        gradient[0, 0, 0, 0].item()  # waits for the device
        seconds.append((time.perf_counter() - since) / QUEUED)
    return min(seconds[1:])


def layout_of(network: nn.Module) -> Layout:
    """The layout that the weights of a network give to its maps."""
    conv = widest_at_full_size(network)
    return "NCHW" if conv is not None and conv.weight.is_contiguous() else "NHWC"
