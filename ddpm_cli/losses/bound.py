"""The variational bound: its terms, and losses that use the terms."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import torch

from ddpm_cli.denoiser import Denoiser, Estimate
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.hardware import to_device
from ddpm_cli.losses.batch import Noised, per_image
from ddpm_cli.losses.simple import DISTANCES, DistanceName
from ddpm_cli.shapes import Fitted, Images, PerImage

Distribution: TypeAlias = Callable[[Images], Images]


def vlb(denoiser: Denoiser, batch: Noised) -> PerImage:
    """T L_t in bits per dimension; its mean over t is the variational bound without L_T.

    Ho et al. 2020, eq. 5.
    """
    estimate = denoiser(batch.x_t, batch.t, batch.label)
    return denoiser.diffusion.steps * bound(denoiser.diffusion, estimate, batch)


def hybrid(
    denoiser: Denoiser, batch: Noised, *, vlb_weight: float = 0.001, distance: DistanceName = "l2"
) -> PerImage:
    """L_simple + vlb_weight T L_t, the mean detached in L_t; L_t in bits per dimension.

    Nichol & Dhariwal 2021, eq. 16.
    """
    if vlb_weight < 0:
        raise ValueError(f"loss.vlb_weight must be at least 0, but is {vlb_weight}")
    if denoiser.variance != "learned":
        raise ValueError(
            "hybrid trains a learned variance: it needs model.variance=learned,"
            f" but that is {denoiser.variance!r}"
        )
    estimate = denoiser(batch.x_t, batch.t, batch.label)
    target = denoiser.target(batch.x0, batch.eps, batch.t)
    simple = DISTANCES[distance](estimate.output, target, reduction="none")
    term = bound(denoiser.diffusion, replace(estimate, x0=estimate.x0.detach()), batch)
    return per_image(simple) + vlb_weight * denoiser.diffusion.steps * term


def normal_cdf(x: Images) -> Images:
    """The normal CDF, exact in its lower tail; torch.special.ndtr is 0 from -5.6 on."""
    return 0.5 * torch.erfc(-x / math.sqrt(2))


def tanh_cdf(x: Images) -> Images:
    """The normal CDF by the approximation of published codes (Page 1977)."""
    return 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def bound(
    diffusion: GaussianDiffusion, estimate: Estimate, batch: Noised, cdf: Distribution = normal_cdf
) -> PerImage:
    """The variational bound's term L_t in bits per dimension, for integer times [B].

    Ho et al. 2020, eq. 5: for t >= 2 the divergence KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)),
    at t = 1 the decoder's -log p(x_0 | x_1). Raises ValueError for a perturbed batch, whose x_t is
    not a sample of q.
    """
    if batch.perturbed:
        raise ValueError(
            "the variational bound is of q(x_t | x_0): it does not go with"
            " trainer.input_perturbation, which must be 0"
        )
    t = torch.as_tensor(batch.t)
    mean, true_mean = (
        diffusion.posterior_mean(x0, batch.x_t, t, t - 1) for x0 in (estimate.x0, batch.x0)
    )
    log_variance, true_log_variance = (
        diffusion.log_variance(t, t - 1, interpolation, batch.x_t)
        for interpolation in (estimate.variance_interpolation, 0.0)
    )
    ratio = true_log_variance - log_variance
    error = (true_mean - mean).square() * (-log_variance).exp()
    divergence = 0.5 * (ratio.exp() - 1 - ratio + error)
    decoder = -discrete_log_likelihood(batch.x0, mean, 0.5 * log_variance, cdf)
    first = to_device(t == 1, mean.device).view(-1, *[1] * (mean.ndim - 1))
    return per_image(torch.where(first, decoder, divergence)) / math.log(2)


def discrete_log_likelihood(
    x0: Images, mean: Images, log_scale: Fitted, cdf: Distribution = normal_cdf
) -> Images:
    """log p of 8-bit images in [-1, 1]: a normal density integrated over each byte's bin.

    Ho et al. 2020, eq. 13. cdf: the normal CDF, exact or with the tanh of published codes.
    """
    centred, scale = x0 - mean, log_scale.exp()
    upper, lower = (centred + 1 / 255) / scale, (centred - 1 / 255) / scale
    precise = torch.where(centred > 0, -1.0, 1.0)  # the tail whose differences stay precise
    inside = (cdf(precise * upper) - cdf(precise * lower)).abs()
    probability = torch.where(x0 < -0.999, cdf(upper), torch.where(x0 > 0.999, cdf(-lower), inside))
    return probability.clamp(min=1e-12).log()
