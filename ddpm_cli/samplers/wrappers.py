"""Wrappers of a denoiser: thresholds of its estimate, labels, guidance; each is written once and serves every sampler."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from ddpm_cli.denoiser import Estimate
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.samplers.contract import Denoise
from ddpm_cli.shapes import Images, Labels, Time


def clip_x0(denoise: Denoise) -> Denoise:
    """Clips x_0 to [-1, 1], before anything is derived from it."""
    return map_x0(denoise, lambda x0: x0.clamp(-1, 1))


def threshold_x0(denoise: Denoise, *, quantile: float) -> Denoise:
    """Dynamic thresholding (Saharia et al. 2022, section 2.3): clips x_0 at this quantile of |x_0| and scales it into [-1, 1].

    Images that stay within [-1, 1] are left alone.
    """
    if not 0 < quantile <= 1:
        raise ValueError(f"quantile must be above 0 and at most 1, but is {quantile}")

    def squeezed(x0: Images) -> Images:
        limit = x0.abs().flatten(1).quantile(quantile, dim=1).clamp(min=1)[:, None, None, None]
        return x0.clamp(-limit, limit) / limit

    return map_x0(denoise, squeezed)


def map_x0(denoise: Denoise, change: Callable[[Images], Images]) -> Denoise:
    """A denoiser with its estimate of x_0 changed."""

    def estimated(x_t: Images, t: Time, *label: Labels | None) -> Estimate:
        estimate = denoise(x_t, t, *label)
        return replace(estimate, x0=change(estimate.x0))

    return estimated


def with_label(denoise: Denoise, label: Labels) -> Denoise:
    """A denoiser of images with these labels."""
    return lambda x_t, t: denoise(x_t, t, label)


def with_guidance(denoise: Denoise, label: Labels, *, scale: float) -> Denoise:
    """Classifier-free guidance (Ho & Salimans 2022): scale 0 is unconditional, 1 conditional; both halves in one batch."""
    labels = torch.cat([label, torch.full_like(label, -1)])

    def guide(x_t: Images, t: Time) -> Estimate:
        both = denoise(torch.cat([x_t, x_t]), t, labels)
        (output, no_output), (x0, no_x0) = both.output.chunk(2), both.x0.chunk(2)
        between = (
            both.variance_interpolation
            if isinstance(both.variance_interpolation, float)
            else both.variance_interpolation.chunk(2)[0]
        )
        return Estimate(torch.lerp(no_output, output, scale), torch.lerp(no_x0, x0, scale), between)

    return guide


def with_autoguidance(denoise: Denoise, guide: Denoise, *, scale: float) -> Denoise:
    """Guidance away from a weaker model of the same images (Karras et al. 2024, eq. 3): scale 0 is the guide, 1 the model itself.

    The estimate's output stays the model's own, for the guide's may mean something else.
    """

    def estimated(x_t: Images, t: Time) -> Estimate:
        estimate = denoise(x_t, t)
        return replace(estimate, x0=torch.lerp(guide(x_t, t).x0, estimate.x0, scale))

    return estimated


def within_interval(
    diffusion: GaussianDiffusion, interval: Sequence[float], inside: Denoise, outside: Denoise
) -> Denoise:
    """One denoiser at noise levels sigma / alpha in an interval, another elsewhere (Kynkaanniemi et al. 2024)."""
    low, high = interval
    return lambda x_t, t: (inside if low <= diffusion.level(t) <= high else outside)(x_t, t)


def at_levels_of(denoise: Denoise, own: GaussianDiffusion, other: GaussianDiffusion) -> Denoise:
    """A denoiser of the process `own`, asked at times of another: at each one it is given that of the same SNR."""
    return lambda x_t, t, label=None: denoise(x_t, own.time_of(other.log_snr(t)), label)
