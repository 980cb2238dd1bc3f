"""The size of batch that draws the most images in a second on this machine."""

import logging
import statistics
import time
from collections.abc import Iterator

import torch

from ddpm_cli.generation.generator import Generator

ROUNDS, GAIN = 3, 1.05  # a size must be quicker by this factor to be worth its memory
log = logging.getLogger(__name__)


def quickest_batch_size(made: Generator, n: int) -> int:
    """Tries sizes that double, as long as they pay and fit, on one estimate each."""
    best, rate = 1, 0.0
    for size, found in batch_rates(made, n):
        if found < rate * GAIN:
            break
        best, rate = size, found
    log.info("batch      auto: %s images at a time (%.3g estimates a second)", best, rate)
    return best


def batch_rates(made: Generator, n: int) -> Iterator[tuple[int, float]]:
    """(size, images a second through one estimate), until memory ends."""
    size = 1
    while size <= n:
        try:
            yield size, size / estimate_seconds(made, size)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            return
        size *= 2


def estimate_seconds(made: Generator, size: int) -> float:
    """The seconds of one estimate of so many images."""
    denoise = made.steered(made.denoiser, made.guide, made.labels(range(size)))
    x, taken = torch.zeros(size, *made.shape, device=made.device), []
    for _ in range(1 + ROUNDS):
        since = time.perf_counter()
        denoise(x, made.times[0]).x0.sum().item()
        taken.append(time.perf_counter() - since)
    return statistics.median(taken[1:])
