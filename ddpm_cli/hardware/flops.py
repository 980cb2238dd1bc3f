"""The FLOPs of a network, and the FLOP/s of the machine."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

SECONDS = 0.2


@dataclass(frozen=True)
class FlopCount:
    """The FLOPs of an image forward and backward, if known, and the peak FLOP/s of all devices."""

    per_image: float | None
    peak: float

    def rates(self, images_per_second: float) -> dict[str, float]:
        """The TFLOP/s at a speed, and their share of the peak."""
        if self.per_image is None:
            return {}
        flops = self.per_image * images_per_second
        return {"tflops": flops / 1e12, "peak_share": flops / self.peak}


def count_flops(network: nn.Module, shape: Sequence[int]) -> int | None:
    """Count the FLOPs of one image [C, H, W] forward and backward, on the device `meta`.

    Recomputed activations do not count. Returns None if the network reads values of its tensors.
    """
    weights = {
        name: torch.empty_like(each, device="meta").requires_grad_()
        for name, each in network.named_parameters()
    }
    buffers = {
        name: torch.empty_like(each, device="meta") for name, each in network.named_buffers()
    }
    inputs = torch.zeros(1, *shape, device="meta"), torch.zeros(1, device="meta")
    with FlopCounterMode(display=False) as counter:
        try:
            functional_call(network, {**weights, **buffers}, inputs).sum().backward()
        except (RuntimeError, NotImplementedError):
            return None
    return counter.get_total_flops()


@lru_cache
@torch.no_grad()
def measure_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Measure the best FLOP/s of a convolution within a fifth of a second."""
    images, channels, side = (64, 256, 64) if device.type == "cuda" else (4, 128, 64)
    layer = nn.Conv2d(channels, channels, 3, padding=1, device=device, dtype=dtype).to(
        memory_format=torch.channels_last
    )
    maps = torch.ones(images, channels, side, side, device=device, dtype=dtype).to(
        memory_format=torch.channels_last
    )
    seconds: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(seconds) < 2 or time.perf_counter() < end:
        start = time.perf_counter()
        layer(maps)[0, 0, 0, 0].item()  # waits for the device
        seconds.append(time.perf_counter() - start)
    return 2 * images * channels**2 * 9 * side**2 / min(seconds)
