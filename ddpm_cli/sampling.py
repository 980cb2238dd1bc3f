"""Images by index: image i is a function of (weights, sampler, grid, seed, i), for any size of batch."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from ddpm_cli.denoiser import Denoiser
from ddpm_cli.samplers import Grid, clipped
from ddpm_cli.seeds import Purpose, normal_like, rng_at, words_at
from ddpm_cli.shapes import Images


def trajectory(
    denoiser: Denoiser, sampler: Callable[..., Iterator[Images]], grid: Grid, *, shape: Sequence[int], seed: int, indices: Sequence[int]
) -> Iterator[Images]:
    """The images `indices` of a sampling run, [B, C, H, W] in [-1, 1], first as pure noise and then after every step.

    x_T and the noise of the steps are drawn image by image, so that neither knows of the others in its batch.
    """
    device = next(denoiser.network.parameters()).device
    words = [words_at(seed, Purpose.SAMPLE_STEPS, index)[0] for index in indices]
    generators = [torch.Generator(device).manual_seed(word) for word in words]
    x, times = start(shape, seed, indices).to(device), grid.times(denoiser.diffusion)
    yield x
    yield from sampler(clipped(denoiser), denoiser.diffusion, x, times, lambda like: normal_like(like, generators))


def rehearse(denoiser: Denoiser, sampler: Callable[..., Iterator[Images]], shape: Sequence[int]) -> None:
    """One step on one grey image: what network or sampler refuse is told before anything is drawn."""
    grey = torch.zeros(1, *shape, device=next(denoiser.network.parameters()).device)
    next(sampler(clipped(denoiser), denoiser.diffusion, grey, [denoiser.diffusion.steps, 0], torch.randn_like))


def start(shape: Sequence[int], seed: int, indices: Sequence[int]) -> Images:
    """x_T, the same on every device: from generators of 128 bits, for words of 32 would meet among 50,000 images."""
    noise = [rng_at(seed, Purpose.SAMPLE_START, index).standard_normal(tuple(shape), dtype=np.float32) for index in indices]
    return torch.from_numpy(np.stack(noise))
