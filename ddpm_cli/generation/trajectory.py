"""Images by index: image i is a function of (weights, sampler, grid, seed, i, label), for any size of batch."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ddpm_cli.denoiser import Denoiser, Estimate
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.samplers import Denoise, Grid, Noise, Sampler, clip_x0, with_label
from ddpm_cli.seeds import Purpose, normal_like, rng_at, words_at
from ddpm_cli.shapes import Images, Labels, Time


@dataclass(frozen=True)
class Noises:
    """All the randomness of a batch: x_T, and the noise of its steps."""

    start: Images
    steps: Noise

    @classmethod
    def keyed(
        cls, shape: Sequence[int], seed: int, indices: Sequence[int], device: torch.device
    ) -> "Noises":
        """The noise of the images `indices`, drawn image by image, so that none knows of the others in its batch."""
        words = [words_at(seed, Purpose.SAMPLE_STEPS, index)[0] for index in indices]
        generators = [torch.Generator(device).manual_seed(word) for word in words]
        return cls(
            initial_noise(shape, seed, indices).to(device),
            lambda like: normal_like(like, generators),
        )


def trajectory(
    denoiser: Denoiser,
    sampler: Sampler,
    grid: Grid,
    *,
    shape: Sequence[int],
    seed: int,
    indices: Sequence[int],
    labels: Labels | None = None,
    seen: Callable[[Denoise], Denoise] = lambda denoise: denoise,
) -> Iterator[Images]:
    """The images `indices` of a sampling run, [B, C, H, W] in [-1, 1], first as pure noise and then after every step.

    `seen` may look at the estimates.
    """
    noises = Noises.keyed(shape, seed, indices, denoiser.device)
    denoise = clip_x0(
        denoiser if labels is None else with_label(denoiser, labels.to(noises.start.device))
    )
    yield noises.start
    yield from sampler(
        seen(denoise),
        denoiser.diffusion,
        noises.start,
        grid.times(denoiser.diffusion),
        noises.steps,
    )


def try_one_step(
    denoise: Denoise, diffusion: GaussianDiffusion, sampler: Sampler, noises: Noises
) -> None:
    """One step that ends in noise: what network or sampler refuse is told before anything is drawn."""
    next(iter(sampler(denoise, diffusion, noises.start, [diffusion.steps, 1], noises.steps)))


def count_evaluations(
    wrap: Callable[[Denoise], Denoise],
    diffusion: GaussianDiffusion,
    sampler: Sampler,
    times: Sequence[float],
    x: Images,
) -> int:
    """How often a network is evaluated for one image: counted, with one that answers nothing in its place."""
    asked = []

    def blank(x_t: Images, t: Time, label: Labels | None = None) -> Estimate:
        asked.append(len(x_t))
        return Estimate(x_t, torch.zeros_like(x_t), 0.0)

    deque(sampler(wrap(blank), diffusion, x, times, torch.zeros_like), maxlen=0)
    return sum(asked)


def initial_noise(shape: Sequence[int], seed: int, indices: Sequence[int]) -> Images:
    """x_T, the same on every device: from generators of 128 bits, for words of 32 would meet among 50,000 images."""
    noise = [
        rng_at(seed, Purpose.SAMPLE_START, index).standard_normal(tuple(shape), dtype=np.float32)
        for index in indices
    ]
    return torch.from_numpy(np.stack(noise))
