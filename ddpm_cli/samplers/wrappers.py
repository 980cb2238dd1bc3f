"""Wrappers of a denoiser for every sampler: thresholds of its estimate, labels, other levels."""

from dataclasses import replace

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


def at_levels_of(denoise: Denoise, own: GaussianDiffusion, other: GaussianDiffusion) -> Denoise:
    """A denoiser of the process `own` at times of another process, matched by their SNR."""
    return lambda x_t, t, label=None: denoise(x_t, own.time_of(other.log_snr(t)), label)
