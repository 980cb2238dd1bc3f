"""The unified predictor-corrector: each estimate of a multistep solver corrects its last step."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np

from ddpm_cli.diffusion import GaussianDiffusion, broadcast_like
from ddpm_cli.samplers.contract import Denoise, Noise
from ddpm_cli.shapes import Coefficient, Images

# estimates of x_0 and their log(alpha / sigma), the newest first
Known: TypeAlias = list[tuple[Images, Coefficient]]


def unipc(
    denoise: Denoise,
    diffusion: GaussianDiffusion,
    x: Images,
    times: Sequence[float],
    noise: Noise,
    *,
    order: Literal[1, 2, 3] = 2,
) -> Iterator[Images]:
    """Step by UniPC-p with data prediction and B(h) = e^h - 1 (`bh2`).

    Zhao et al. 2023, algorithms 5 and 6. A step takes one network evaluation. The order rises with
    the number of estimates and falls towards the last step, which returns the last estimate at
    time 0.
    """
    known: Known = []
    corrected = x
    for place, (t, s) in enumerate(pairwise(times)):
        x0, here = denoise(x, t).x0, diffusion.log_snr(t) / 2
        if known and known[0][1].isfinite():
            used = min(order, place, len(times) - place)
            x = unipc_step(diffusion, corrected, known[:used], times[place - 1], t, x0)
        known, corrected = [(x0, here), *[each for each in known if each[1].isfinite()]][:order], x
        x = unipc_step(diffusion, x, known[: min(order, len(times) - 1 - place)], t, s)
        yield x


def unipc_step(
    diffusion: GaussianDiffusion,
    x: Images,
    known: Known,
    t: float,
    s: float,
    arrived: Images | None = None,
) -> Images:
    """x_s from x_t and the estimates up to t, corrected by `arrived`, the estimate at s, if any."""
    (x0, here), there = known[0], diffusion.log_snr(s) / 2
    h = there - here
    others = [(estimate, float((level - here) / h)) for estimate, level in known[1:]]
    others += [] if arrived is None else [(arrived, 1.0)]
    moved = diffusion.ddim_step(x0, x, t, s)
    weights = unipc_weights(float(h), [ratio for _, ratio in others])
    for weight, (estimate, ratio) in zip(weights, others, strict=True):
        scale = diffusion.alpha_bar_at(s).sqrt() * (-(-h).expm1()) * weight / ratio
        moved = moved + broadcast_like(scale, x) * (estimate - x0)
    return moved


def unipc_weights(h: float, ratios: Sequence[float]) -> list[float]:
    """The rho of sum_m rho_m r_m^(k-1) = k! phi_(k+1)(-h) (-h) / B, k = 1..q; 1/2 for q = 1.

    Zhao et al. 2023, eq. 5.
    """
    if len(ratios) < 2:
        return [0.5] * len(ratios)
    phi, goals = math.expm1(-h) / -h - 1, []
    for k in range(1, len(ratios) + 1):
        goals.append(phi * math.factorial(k) / math.expm1(-h))
        phi = phi / -h - 1 / math.factorial(k + 1)
    powers = np.power.outer(np.array(ratios), np.arange(len(ratios))).T
    return np.linalg.solve(powers, np.array(goals)).tolist()
