"""The batch size that draws the most images a second on this machine."""

import statistics
import time
from collections.abc import Iterator

import torch

from ddpm_cli.console import fact
from ddpm_cli.generation.generator import Generator
from ddpm_cli.hardware import is_out_of_memory

ROUNDS, GAIN = 3, 1.05  # timed estimates; a larger size must be faster by this factor


def choose_batch_size(generator: Generator, n: int, before: object = None) -> int:
    """Choose the batch size that is the fastest on this machine.

    before: the size used before in the folder, which stays if it is one. The size
    doubles until doubling brings no gain or the memory is full.
    """
    if isinstance(before, int) and before > 0:
        return before
    best, rate = 1, 0.0
    for size, new_rate in batch_rates(generator, n):
        if new_rate < rate * GAIN:
            break
        best, rate = size, new_rate
    fact("batch", f"auto: {best} images at a time ({rate:.3g} estimates a second)")
    return best


def batch_rates(generator: Generator, n: int) -> Iterator[tuple[int, float]]:
    """Yield (batch size, images a second in one estimate) until the memory is full."""
    size = 1
    while size <= n:
        try:
            yield size, size / estimate_seconds(generator, size)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error) or size == 1:
                raise
            torch.cuda.empty_cache()
            return
        size *= 2


def estimate_seconds(generator: Generator, size: int) -> float:
    """The seconds of one estimate of `size` images."""
    denoiser, labels = generator.denoiser, generator.labels(range(size))
    denoise = generator.guided(denoiser, generator.guide, labels)
    middle = generator.times[(len(generator.times) - 1) // 2]  # where guidance acts, if anywhere
    x, seconds = torch.zeros(size, *generator.shape, device=denoiser.device), []
    for _ in range(1 + ROUNDS):
        since = time.perf_counter()
        denoise(x, middle).x0.sum().item()
        seconds.append(time.perf_counter() - since)
    return statistics.median(seconds[1:])
