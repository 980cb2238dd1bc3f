"""The likelihood in bits per dimension: by the variational bound and by the probability flow."""

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TypeAlias

import torch

from ddpm_cli.diffusion import GaussianDiffusion, broadcast_like
from ddpm_cli.losses import Distribution, Noised, bound, per_image
from ddpm_cli.samplers import Denoise, clip_x0
from ddpm_cli.seeds import Purpose, keyed_normal
from ddpm_cli.shapes import Images, Indices, PerImage, PerTime

NoiseAt: TypeAlias = Callable[[int], Images]


def noise_at_times(like: Images, seed: int, indices: Indices | Sequence[int]) -> NoiseAt:
    """The noise at each time, a function of (seed, index, t) for each image."""
    return lambda t: keyed_normal(like, seed, Purpose.EVALUATION, t, indices)


def prior_bits(diffusion: GaussianDiffusion, x0: Images) -> PerImage:
    """L_T = KL(q(x_T | x_0) || N(0, 1)) in bits per dimension (Ho et al. 2020, eq. 5)."""
    alpha_bar = diffusion.alpha_bar_at(diffusion.steps)
    of_variance = broadcast_like(-alpha_bar - torch.log1p(-alpha_bar), x0)
    twice = broadcast_like(alpha_bar, x0) * x0.square() + of_variance
    return per_image(twice) / (2 * math.log(2))


def bound_terms(
    denoise: Denoise, diffusion: GaussianDiffusion, x0: Images, noise: NoiseAt, cdf: Distribution
) -> Iterator[tuple[int, PerImage, PerImage]]:
    """(t, L_t in bits per dimension, mean squared error of the clipped estimate) for t = 1..T.

    L_1 is the term of the decoder.
    """
    for t in range(1, diffusion.steps + 1):
        batch = Noised.at(diffusion, x0, noise(t), t)
        estimate = clip_x0(denoise)(batch.x_t, t)
        yield t, bound(diffusion, estimate, batch, cdf), per_image((estimate.x0 - x0).square())


def bound_rates(last: float, bits: PerTime) -> PerTime:
    """L_T + the sum of L_s over s > t: the bits of x_t, t = 1..T (Ho et al. 2020, figure 5)."""
    return last + bits.flip(0).cumsum(0).flip(0) - bits


def even_levels(diffusion: GaussianDiffusion, steps: int) -> list[float]:
    """Times from 1 to T in equal steps of ln(sigma / alpha).

    Raises ValueError if the logarithm is infinite at T.
    """
    first, last = diffusion.log_snr(torch.tensor([1, diffusion.steps])).tolist()
    if math.isinf(last):
        raise ValueError(
            "nll=ode needs some signal at the end of the schedule, "
            "but its SNR there is 0 (the last beta is 1); use nll=bound"
        )
    return diffusion.time_of(torch.linspace(first, last, steps + 1, dtype=torch.float64)).tolist()


def flow_bits(
    denoise: Denoise,
    diffusion: GaussianDiffusion,
    x0: Images,
    noise: NoiseAt,
    cdf: Distribution,
    times: Sequence[float],
) -> Iterator[PerImage]:
    """Yield the bits per dimension after every step of Heun's method, as if x were normal there.

    Steps lead from 1 to T. The last bits are the flow's,
    E[log q(x_1 | x_0) - log p_1(x_1) - log P(x_0 | x_1)], by one draw
    of x_1, with the flow's density p_1 (Song et al. 2021, eq. 39) and the bound's decoder P. In
    y = x_t / alpha the slope is dy/d(sigma / alpha) = eps; the trace of the estimate gives the
    slope's divergence.
    """
    batch, probe = Noised.at(diffusion, x0, noise(1), 1), torch.ones_like(x0).copysign(noise(0))
    decoder = bound(diffusion, clip_x0(denoise)(batch.x_t, 1), batch, cdf)
    y = batch.x_t / broadcast_like(diffusion.alpha_bar_at(1).sqrt(), x0)
    gained = torch.zeros_like(decoder)
    for t, s in pairwise(times):
        now, then = float(diffusion.level(t)), float(diffusion.level(s))
        eps, trace = flow_slope(denoise, diffusion, y, t, probe)
        later_eps, later_trace = flow_slope(denoise, diffusion, y + (then - now) * eps, s, probe)
        y = y + (then - now) * (eps + later_eps) / 2
        gained = gained + math.log(then / now) * (trace + later_trace) / 2
        alpha, sigma = diffusion.scales(s, y)
        apart = per_image((alpha * y).square() - batch.eps.square()) / 2 - sigma.log()
        yield decoder + (apart + gained) / math.log(2)


def flow_slope(
    denoise: Denoise, diffusion: GaussianDiffusion, y: Images, t: float, probe: Images
) -> tuple[Images, PerImage]:
    """eps at y = x_t / alpha, and the trace of d x_0 / d y over the dimensions.

    The trace is v (d x_0 / d y) v for a random probe v (Hutchinson 1990).
    """
    with torch.enable_grad():
        point = y.detach().requires_grad_()
        x0 = denoise(broadcast_like(diffusion.alpha_bar_at(t).sqrt(), y) * point, t).x0
        (pulled,) = torch.autograd.grad(x0, point, probe)
    return (y - x0.detach()) / float(diffusion.level(t)), per_image(pulled * probe)
