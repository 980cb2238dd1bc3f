"""CFG-Zero*: the velocity without the label is scaled to fit, and the first steps stand still."""

from dataclasses import replace

from ddpm_cli.denoiser import Estimate
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.guiders.model_pair import ModelPair
from ddpm_cli.samplers import Denoise
from ddpm_cli.shapes import Fitted, Images, Time

SMALL = 1e-8  # of the authors' code, beside the squared norm of a velocity


def cfg_zero(
    models: ModelPair, scale: float, diffusion: GaussianDiffusion, *, zero_init: float = 0.04
) -> Denoise:
    """Guide the velocity of the straight path from x_0 to noise (Fan et al. 2025, algorithm 1).

    With z = x_t / (alpha + sigma) and u = eps - x_0, x_0 is z - u sigma / (alpha + sigma). The
    velocity of the weaker model is multiplied by its optimal scale. zero_init: the share of the
    process, from t = T on, in which u is 0, so that z stays; the model alone is evaluated there.
    """
    if not 0 <= zero_init < 1:
        raise ValueError(f"guider.zero_init must be at least 0 and below 1, but is {zero_init:g}")
    start = (1 - zero_init) * diffusion.steps

    def guide_velocity(x_t: Images, t: Time) -> Estimate:
        alpha, sigma = diffusion.scales(t, x_t)
        z = x_t / (alpha + sigma)
        if t > start:
            return replace(models.strong(x_t, t), x0=z)
        strong, weak = models.both(x_t, t)
        u, other = (diffusion.noise_in(x_t, each.x0, t) - each.x0 for each in (strong, weak))
        other = optimal_scale(u, other) * other
        return replace(strong, x0=z - sigma / (alpha + sigma) * (other + scale * (u - other)))

    return guide_velocity


def optimal_scale(velocity: Images, other: Images) -> Fitted:
    """The factor of each velocity that brings it nearest to another velocity, [B, 1, 1, 1].

    Fan et al. 2025, eq. 8.
    """
    product = (velocity * other).flatten(1).sum(dim=1)
    return (product / (other.square().flatten(1).sum(dim=1) + SMALL))[:, None, None, None]
