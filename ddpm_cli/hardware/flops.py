"""The FLOPs of a network, and the FLOP/s of the machine."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

SECONDS = 0.2
WARMING = 0.1  # seconds of load before the timing, in which the clock of a GPU rises
SIDE = 16_384  # bytes of a row of the matrices in a product


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
        name: torch.empty_like(each, device="meta").requires_grad_(each.requires_grad)
        for name, each in network.named_parameters()
    }
    buffers = {
        name: torch.empty_like(each, device="meta") for name, each in network.named_buffers()
    }
    inputs = [torch.zeros(1, *shape, device="meta"), torch.zeros(1, device="meta")]
    if any(getattr(each, "needs_label", False) for each in network.modules()):
        inputs.append(torch.zeros(1, device="meta", dtype=torch.long))
    with FlopCounterMode(display=False) as counter:
        try:
            functional_call(network, {**weights, **buffers}, tuple(inputs)).sum().backward()
        except (RuntimeError, NotImplementedError):
            return None
    return counter.get_total_flops()


def peak_text(peak: float, device: torch.device, precision: str) -> str:
    """The peak of all devices of a run in words, with the operation and the precision."""
    kind = "matrix product" if device.type == "cuda" else "convolution"
    return f"{peak / 1e12:.3g} TFLOP/s ({kind}, {precision})"


@lru_cache
@torch.no_grad()
def measure_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Measure the best FLOP/s: of a matrix product on a warm GPU, of a convolution elsewhere.

    Products in fp32 use TF32 if the process allows TF32 at the time of the call.
    """
    if device.type == "cuda":
        return product_flops(device, dtype, SIDE // dtype.itemsize)
    images, channels, side = 4, 128, 64
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


def product_flops(device: torch.device, dtype: torch.dtype, side: int) -> float:
    """The FLOP/s of products of matrices [side, side] on a warm GPU, one launch after another."""
    left, right, out = (torch.rand(side, side, device=device).to(dtype) for _ in range(3))

    def product_seconds(count: int) -> float:
        event: Any = partial(torch.cuda.Event, enable_timing=True)
        start, end = event(), event()
        start.record()
        for _ in range(count):
            torch.mm(left, right, out=out)
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1000 / count

    with torch.cuda.device(device):
        product_seconds(1)  # loads the kernel
        cold = product_seconds(1)
        warm = product_seconds(1 + int(WARMING / cold))
        return 2 * side**3 / product_seconds(1 + int(WARMING / warm))
