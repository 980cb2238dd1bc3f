"""Losses with a weight for each time, on the squared error of x_0.

The parameterisation turns the weight into a weight on the output. The error is weighted before
its distance is taken, so one weight serves every distance, and a loss is equal for eps, x0, v.
Where the SNR is 0, every such weight is 0 and 1 takes its place, as in the code of Hang et al.
"""

import torch

from ddpm_cli.denoiser import Denoiser
from ddpm_cli.diffusion import broadcast_like
from ddpm_cli.losses.batch import Noised
from ddpm_cli.losses.simple import DISTANCES, DistanceName, output_distance
from ddpm_cli.shapes import Coefficient, Images, PerImage


def min_snr(
    denoiser: Denoiser, batch: Noised, *, gamma: float = 5.0, distance: DistanceName = "l2"
) -> PerImage:
    """Weight min(SNR, gamma) on x_0: gamma caps all weights (Hang et al. 2023, section 3.4)."""
    if gamma <= 0:
        raise ValueError(f"loss.gamma must be positive, but is {gamma}")
    return weighted_distance(
        denoiser, batch, denoiser.diffusion.snr(batch.t).clamp(max=gamma), distance
    )


def p2(
    denoiser: Denoiser,
    batch: Noised,
    *,
    gamma: float = 1.0,
    k: float = 1.0,
    distance: DistanceName = "l2",
) -> PerImage:
    """Weight SNR / (k + SNR)^gamma on x_0, low for clean images (Choi et al. 2022, eq. 8)."""
    if gamma < 0 or k <= 0:
        raise ValueError(
            f"loss.gamma must be at least 0 and loss.k positive, but they are {gamma} and {k}"
        )
    snr = denoiser.diffusion.snr(batch.t)
    return weighted_distance(denoiser, batch, snr / (k + snr) ** gamma, distance)


def weighted_distance(
    denoiser: Denoiser, batch: Noised, on_x0: Coefficient, name: DistanceName
) -> PerImage:
    """The distance of output and target times the root of a weight on the squared error of x_0."""
    on_x0 = torch.where(denoiser.diffusion.snr(batch.t) > 0, on_x0, 1.0)
    root = broadcast_like(on_x0.sqrt(), batch.x_t) * denoiser.error_scale(batch.t, batch.x_t)

    def distance(output: Images, target: Images, *, reduction: str) -> Images:
        return DISTANCES[name](root * output, root * target, reduction=reduction)

    return output_distance(denoiser, batch, distance)
