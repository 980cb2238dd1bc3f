"""Heun's method in x / alpha and sigma / alpha, with the churn of EDM before each step."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from ddpm_cli.diffusion import GaussianDiffusion, broadcast_like
from ddpm_cli.samplers.contract import Denoise, Noise
from ddpm_cli.shapes import Images

MOST_CHURN = math.sqrt(2) - 1  # the largest rise of the noise level in one step, as a share


def heun(
    denoise: Denoise,
    diffusion: GaussianDiffusion,
    x: Images,
    times: Sequence[float],
    noise: Noise,
    *,
    churn: float = 0.0,
    churn_min: float = 0.0,
    churn_max: float | None = None,
    churn_noise: float = 1.0,
) -> Iterator[Images]:
    """Step by Heun's method (Karras et al. 2022, alg. 2).

    A step takes two network evaluations, the last step one.

    churn: the share by which each step first raises the noise level sigma / alpha (S_churn / N),
    if the level lies between churn_min and churn_max (S_tmin, S_tmax; null: no limit).
    churn_noise: the scale of the added noise (S_noise).
    """
    check_churn(churn, churn_min, churn_max, churn_noise)
    for t, s in pairwise(times):
        level, highest = diffusion.level(t), math.inf if churn_max is None else churn_max
        if churn and level.isfinite() and churn_min <= level <= highest:
            x, t = add_churn(diffusion, x, t, churn, churn_noise * noise(x))
        x0 = denoise(x, t).x0
        euler = diffusion.ddim_step(x0, x, t, s)
        now, then = diffusion.level(t), diffusion.level(s)
        if s > 0 and now.isfinite():
            alpha_bar = diffusion.alpha_bar_at(s)
            straight = broadcast_like((alpha_bar / diffusion.alpha_bar_at(t)).sqrt(), x) * x
            slope = euler - broadcast_like(alpha_bar.sqrt(), x) * denoise(euler, s).x0
            euler = 0.5 * (euler + straight + broadcast_like(1 - now / then, x) * slope)
        x = euler
        yield x


def check_churn(churn: float, low: float, high: float | None, scale: float) -> None:
    """Refuse churn that is too large, and options of churn without churn."""
    if not 0 <= churn <= MOST_CHURN or scale < 0:
        rule = "sampler.churn must be between 0 and sqrt(2) - 1, and churn_noise at least 0"
        raise ValueError(f"{rule}, but they are {churn} and {scale}")
    if not churn and (low, high, scale) != (0, None, 1):
        rule = "sampler.churn_min, churn_max and churn_noise"
        raise ValueError(f"{rule} have no effect without sampler.churn")


def add_churn(
    diffusion: GaussianDiffusion, x: Images, t: float, more: float, noise: Images
) -> tuple[Images, float]:
    """x_t with its noise level raised by the share `more`, at most to T's, and the new time."""
    before = diffusion.level(t)
    later = diffusion.time_of(-2 * (before * (1 + more)).log())
    added = (diffusion.level(later).square() - before.square()).clamp(min=0).sqrt()
    alpha = diffusion.alpha_bar_at(later).sqrt()
    scaled = broadcast_like(alpha / diffusion.alpha_bar_at(t).sqrt(), x) * x
    return scaled + broadcast_like(alpha * added, x) * noise, float(later)
