"""Samplers: generators of ever cleaner images, over one contract denoise(x_t, t) -> Estimate; and wrappers of `denoise`."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from itertools import pairwise
from typing import Literal, TypeAlias

import torch

from ddpm_cli.denoiser import Estimate
from ddpm_cli.diffusion import GaussianDiffusion, fit
from ddpm_cli.shapes import Images, Labels, Time

Denoise: TypeAlias = Callable[..., Estimate]
Noise: TypeAlias = Callable[[Images], Images]


def ancestral(
    denoise: Denoise, diffusion: GaussianDiffusion, x: Images, times: Sequence[float], noise: Noise, *, draws: int = 1
) -> Iterator[Images]:
    """Draws from p(x_s | x_t) step by step (Ho et al. 2020, algorithm 2); each step the mean of `draws` draws."""
    if draws < 1:
        raise ValueError(f"sampler.draws must be at least 1, but is {draws}")
    for t, s in pairwise(times):
        estimate = denoise(x, t)
        x = diffusion.posterior_mean(estimate.x0, x, t, s)
        if s > 0:
            sigma = (0.5 * diffusion.log_variance(t, s, estimate.between, x)).exp()
            x = x + sigma * sum(noise(x) for _ in range(draws)) / draws
        yield x


def ddim(
    denoise: Denoise, diffusion: GaussianDiffusion, x: Images, times: Sequence[float], noise: Noise, *, eta: float = 0.0
) -> Iterator[Images]:
    """Denoising diffusion implicit models (Song et al. 2020, eq. 12): deterministic at eta = 0, ancestral at 1."""
    if not 0 <= eta <= 1:
        raise ValueError(f"sampler.eta must be between 0 and 1, but is {eta}")
    for t, s in pairwise(times):
        x0 = denoise(x, t).x0
        eps = diffusion.noise_in(x, x0, t)
        variance = eta**2 * diffusion.posterior_variance(t, s)
        kept = (1 - diffusion.at(s) - variance).clamp(min=0)
        x = fit(diffusion.at(s).sqrt(), x) * x0 + fit(kept.sqrt(), x) * eps
        if eta > 0 and s > 0:
            x = x + fit(variance.sqrt(), x) * noise(x)
        yield x


def clipped(denoise: Denoise) -> Denoise:
    """Clips x_0 to [-1, 1], before anything is derived from it."""

    def clip(x_t: Images, t: Time, label: Labels | None = None) -> Estimate:
        estimate = denoise(x_t, t, label)
        return replace(estimate, x0=estimate.x0.clamp(-1, 1))

    return clip


def guided(denoise: Denoise, label: Labels, *, scale: float) -> Denoise:
    """Classifier-free guidance (Ho & Salimans 2022): scale 0 is unconditional, 1 conditional; both halves in one batch."""
    labels = torch.cat([label, torch.full_like(label, -1)])

    def guide(x_t: Images, t: Time) -> Estimate:
        both = denoise(torch.cat([x_t, x_t]), t, labels)
        (output, no_output), (x0, no_x0) = both.output.chunk(2), both.x0.chunk(2)
        between = both.between if isinstance(both.between, float) else both.between.chunk(2)[0]
        return Estimate(torch.lerp(no_output, output, scale), torch.lerp(no_x0, x0, scale), between)

    return guide


SPACINGS: dict[str, Callable[[int, int], list[float]]] = {
    "even": lambda start, steps: torch.linspace(start, 1, steps, dtype=torch.float64).tolist(),
    "leading": lambda start, steps: [1.0 + start // steps * place for place in reversed(range(steps))],
    "trailing": lambda start, steps: [start * (1 - place / steps) for place in range(steps)],  # Lin et al. 2023
}


@dataclass(frozen=True)
class Grid:
    """The options that all samplers share: how many steps, and where they lie in time.

    steps: a number up to T, or `all`. spacing: even (T to 1, then 0), leading (1, 1 + T // steps, ...), trailing (T, T - T / steps, ...).
    """

    _: KW_ONLY
    steps: int | Literal["all"]
    spacing: Literal["even", "leading", "trailing"]

    def times(self, diffusion: GaussianDiffusion) -> list[float]:
        """Strictly decreasing times from noise to 0, steps + 1 of them."""
        steps = diffusion.steps if self.steps == "all" else self.steps
        if not 1 <= steps <= diffusion.steps:
            raise ValueError(f"sampler.steps must be between 1 and {diffusion.steps}, the schedule's steps, but is {steps}")
        return [*SPACINGS[self.spacing](diffusion.steps, steps), 0.0]
