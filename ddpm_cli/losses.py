"""Losses: functions (denoiser, batch) -> loss per image [B]."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import torch
from einops import reduce
from torch.nn import functional as F

from ddpm_cli.denoiser import Denoiser, Estimate
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.shapes import Fitted, Images, Labels, PerImage, Time

Distribution: TypeAlias = Callable[[Images], Images]


@dataclass(frozen=True)
class Noised:
    """A batch to learn from: x_t made of x0 and eps at the times t; `weight` corrects for how the times were drawn."""

    x0: Images
    eps: Images
    x_t: Images
    t: Time
    label: Labels | None = None
    weight: PerImage | float = 1.0

    @classmethod
    def at(cls, diffusion: GaussianDiffusion, x0: Images, eps: Images, t: Time, label: Labels | None = None) -> "Noised":
        """The batch that q(x_t | x_0) gives with this noise."""
        return cls(x0, eps, diffusion.add_noise(x0, eps, t), t, label)

    def split(self, size: int) -> Iterator["Noised"]:
        """The batch in parts of `size` images, the last perhaps of fewer."""
        for part in (slice(first, first + size) for first in range(0, len(self.x0), size)):
            t, weight = (each[part] if isinstance(each, torch.Tensor) and each.ndim else each for each in (self.t, self.weight))
            label = None if self.label is None else self.label[part]
            yield Noised(self.x0[part], self.eps[part], self.x_t[part], t, label, weight)


def l1(denoiser: Denoiser, batch: Noised) -> PerImage:
    """Mean absolute error of the network's output."""
    return distance(denoiser, batch, F.l1_loss)


def l2(denoiser: Denoiser, batch: Noised) -> PerImage:
    """Mean squared error of the network's output: L_simple (Ho et al. 2020, eq. 14)."""
    return distance(denoiser, batch, F.mse_loss)


def huber(denoiser: Denoiser, batch: Noised, *, delta: float = 1.0) -> PerImage:
    """Huber's error of the network's output: squared up to `delta`, absolute beyond."""
    if delta <= 0:
        raise ValueError(f"loss.delta must be positive, but is {delta}")
    return distance(denoiser, batch, partial(F.huber_loss, delta=delta))


def hybrid(denoiser: Denoiser, batch: Noised, *, vlb_weight: float = 0.001) -> PerImage:
    """L_simple + vlb_weight T L_t, the mean detached in L_t (Nichol & Dhariwal 2021, eq. 16); L_t in bits per dimension."""
    if vlb_weight < 0:
        raise ValueError(f"loss.vlb_weight must be at least 0, but is {vlb_weight}")
    if denoiser.variance != "learned":
        raise ValueError(f"hybrid trains a learned variance: it needs model.variance=learned, but that is {denoiser.variance!r}")
    estimate = denoiser(batch.x_t, batch.t, batch.label)
    simple = (estimate.output - denoiser.target(batch.x0, batch.eps, batch.t)).square()
    frozen = replace(estimate, x0=estimate.x0.detach())
    return per_image(simple) + vlb_weight * denoiser.diffusion.steps * bound(denoiser.diffusion, frozen, batch)


def distance(denoiser: Denoiser, batch: Noised, between: Callable[..., Images]) -> PerImage:
    """A distance between output and target; refused where the variance would stay untrained."""
    if denoiser.variance == "learned":
        raise ValueError("this loss leaves a learned variance untrained; use loss=hybrid, or model.variance=small or large")
    estimate = denoiser(batch.x_t, batch.t, batch.label)
    return per_image(between(estimate.output, denoiser.target(batch.x0, batch.eps, batch.t), reduction="none"))


def normal_cdf(x: Images) -> Images:
    """The normal distribution function, exact in its lower tail, where torch.special.ndtr is 0 from -5.6 on."""
    return 0.5 * torch.erfc(-x / math.sqrt(2))


def bound(diffusion: GaussianDiffusion, estimate: Estimate, batch: Noised, cdf: Distribution = normal_cdf) -> PerImage:
    """The variational bound's term L_t in bits per dimension (Ho et al. 2020, eq. 5), for integer times [B].

    For t >= 2 the divergence KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)); at t = 1 the decoder's -log p(x_0 | x_1).
    """
    t = torch.as_tensor(batch.t)
    mean, true_mean = (diffusion.posterior_mean(x0, batch.x_t, t, t - 1) for x0 in (estimate.x0, batch.x0))
    log_variance, true_log_variance = (diffusion.log_variance(t, t - 1, place, batch.x_t) for place in (estimate.between, 0.0))
    ratio = true_log_variance - log_variance
    divergence = 0.5 * (ratio.exp() - 1 - ratio + (true_mean - mean).square() * (-log_variance).exp())
    decoder = -discrete_log_likelihood(batch.x0, mean, 0.5 * log_variance, cdf)
    first = (t == 1).to(mean.device).view(-1, *[1] * (mean.ndim - 1))
    return per_image(torch.where(first, decoder, divergence)) / math.log(2)


def discrete_log_likelihood(x0: Images, mean: Images, log_scale: Fitted, cdf: Distribution = normal_cdf) -> Images:
    """log p of 8-bit images in [-1, 1] under a normal density over each byte's bin (Ho et al. 2020, eq. 13).

    cdf: the normal distribution function; exact, where published codes approximate it with tanh.
    """
    centred, scale = x0 - mean, log_scale.exp()
    upper, lower = (centred + 1 / 255) / scale, (centred - 1 / 255) / scale
    precise = torch.where(centred > 0, -1.0, 1.0)  # the tail in which the difference of two cdf keeps its digits
    inside = (cdf(precise * upper) - cdf(precise * lower)).abs()
    probability = torch.where(x0 < -0.999, cdf(upper), torch.where(x0 > 0.999, cdf(-lower), inside))
    return probability.clamp(min=1e-12).log()


def per_image(loss: Images) -> PerImage:
    """The mean over everything but the batch."""
    return reduce(loss, "b ... -> b", "mean")
