"""The reverse process, sampled step by step."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.samplers.contract import Denoise, Noise
from ddpm_cli.shapes import Images


def ancestral(
    denoise: Denoise,
    diffusion: GaussianDiffusion,
    x: Images,
    times: Sequence[float],
    noise: Noise,
    *,
    draws: int = 1,
) -> Iterator[Images]:
    """Sample p(x_s | x_t) step by step (Ho et al. 2020, algorithm 2).

    draws: the number of noise samples whose mean each step adds, at most 1,000.
    """
    if not 1 <= draws <= 1000:
        raise ValueError(f"sampler.draws must be between 1 and 1,000, but is {draws}")
    for t, s in pairwise(times):
        estimate = denoise(x, t)
        x = diffusion.posterior_mean(estimate.x0, x, t, s)
        if s > 0:
            sigma = (0.5 * diffusion.log_variance(t, s, estimate.variance_interpolation, x)).exp()
            x = x + sigma * sum(noise(x) for _ in range(draws)) / draws
        yield x
