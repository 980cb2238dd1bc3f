"""Wrappers of a denoiser for every sampler: thresholds of its estimate, labels, guidance."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from ddpm_cli.denoiser import Estimate
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.samplers.contract import Denoise
from ddpm_cli.shapes import Images, Labels, Time


def clip_x0(denoise: Denoise) -> Denoise:
    """Clip x_0 to [-1, 1] in every estimate."""

    def denoise_and_clip(x_t: Images, t: Time, *label: Labels | None) -> Estimate:
        estimate = denoise(x_t, t, *label)
        return replace(estimate, x0=estimate.x0.clamp(-1, 1))

    return denoise_and_clip


def threshold_x0(denoise: Denoise, *, quantile: float) -> Denoise:
    """Clip x_0 at this quantile of |x_0| and scale it into [-1, 1]: dynamic thresholding.

    Saharia et al. 2022, section 2.3. Images within [-1, 1] stay as they are.
    """
    if not 0 < quantile <= 1:
        raise ValueError(f"quantile must be above 0 and at most 1, but is {quantile}")

    def denoise_and_scale(x_t: Images, t: Time, *label: Labels | None) -> Estimate:
        estimate = denoise(x_t, t, *label)
        limits = estimate.x0.abs().flatten(1).quantile(quantile, dim=1).clamp(min=1)
        limit = limits[:, None, None, None]
        return replace(estimate, x0=estimate.x0.clamp(-limit, limit) / limit)

    return denoise_and_scale


def with_label(denoise: Denoise, label: Labels) -> Denoise:
    """The denoiser with fixed labels."""
    return lambda x_t, t: denoise(x_t, t, label)


def with_guidance(denoise: Denoise, label: Labels, *, scale: float) -> Denoise:
    """Classifier-free guidance (Ho & Salimans 2022): scale 0 is unconditional, 1 conditional.

    One batch of the network holds both estimates.
    """
    labels = torch.cat([label, torch.full_like(label, -1)])

    def guide(x_t: Images, t: Time) -> Estimate:
        both = denoise(torch.cat([x_t, x_t]), t, labels)
        (output, no_output), (x0, no_x0) = both.output.chunk(2), both.x0.chunk(2)
        variance = both.variance_interpolation
        if not isinstance(variance, float):
            variance, _ = variance.chunk(2)
        output, x0 = torch.lerp(no_output, output, scale), torch.lerp(no_x0, x0, scale)
        return Estimate(output, x0, variance)

    return guide


def with_autoguidance(denoise: Denoise, guide: Denoise, *, scale: float) -> Denoise:
    """Guidance away from a weaker model of the same images: scale 0 is the guide, 1 the model.

    Karras et al. 2024a, eq. 3. The output is the model's, since the guide's may mean something
    else.
    """

    def denoise_away(x_t: Images, t: Time) -> Estimate:
        estimate = denoise(x_t, t)
        return replace(estimate, x0=torch.lerp(guide(x_t, t).x0, estimate.x0, scale))

    return denoise_away


def within_interval(
    diffusion: GaussianDiffusion, interval: Sequence[float], inside: Denoise, outside: Denoise
) -> Denoise:
    """One denoiser at noise levels sigma / alpha in an interval, another at other levels.

    Kynkaanniemi et al. 2024.
    """
    low, high = interval
    return lambda x_t, t: (inside if low <= diffusion.level(t) <= high else outside)(x_t, t)


def at_levels_of(denoise: Denoise, own: GaussianDiffusion, other: GaussianDiffusion) -> Denoise:
    """A denoiser of the process `own` at times of another process, matched by their SNR."""
    return lambda x_t, t, label=None: denoise(x_t, own.time_of(other.log_snr(t)), label)
