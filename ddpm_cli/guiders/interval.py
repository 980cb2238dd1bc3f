"""Guidance at some noise levels alone."""

from collections.abc import Sequence

from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.guiders.cfg import cfg
from ddpm_cli.guiders.contract import Guider
from ddpm_cli.guiders.model_pair import ModelPair
from ddpm_cli.samplers import Denoise


def interval(
    models: ModelPair,
    scale: float,
    diffusion: GaussianDiffusion,
    *,
    low: float = 0.19,
    high: float = 1.61,
) -> Denoise:
    """Classifier-free guidance at noise levels sigma / alpha from low to high.

    Kynkäänniemi et al. 2024. At other levels, the model alone is evaluated.
    """
    if not 0 <= low < high:
        raise ValueError(f"guider must have 0 <= low < high, but they are {low:g} and {high:g}")
    return limited_to(cfg, [low, high])(models, scale, diffusion)


def limited_to(guider: Guider, ends: Sequence[float]) -> Guider:
    """A guider that acts at noise levels between two ends alone."""

    def guide_within(models: ModelPair, scale: float, diffusion: GaussianDiffusion) -> Denoise:
        inside = guider(models, scale, diffusion)
        return within_interval(diffusion, ends, inside, models.strong)

    return guide_within


def within_interval(
    diffusion: GaussianDiffusion, ends: Sequence[float], inside: Denoise, outside: Denoise
) -> Denoise:
    """One denoiser at noise levels sigma / alpha in an interval, another at other levels."""
    low, high = ends
    return lambda x_t, t: (inside if low <= diffusion.level(t) <= high else outside)(x_t, t)
