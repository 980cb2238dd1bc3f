"""Adaptive projected guidance: the part of guidance that does not saturate the image."""

from dataclasses import replace

import torch

from ddpm_cli.denoiser import Estimate
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.guiders.model_pair import ModelPair
from ddpm_cli.samplers import Denoise
from ddpm_cli.shapes import Fitted, Images, Time

TINY = 1e-12  # keeps a quotient finite where an update or an image is 0


def apg(
    models: ModelPair,
    scale: float,
    diffusion: GaussianDiffusion,
    *,
    eta: float = 0.0,
    momentum: float = -0.5,
    limit: float | None = 0.06,
) -> Denoise:
    """Add scale - 1 times an update to the model's x_0 (Sadat et al. 2024, algorithm 1).

    The update is the difference of the two estimates of x_0, plus `momentum` times the update
    before. limit: its largest root mean square; the paper's norm r is limit times the root of the
    number of values of an image. eta: the share that stays of its part along the model's x_0.
    """
    if not -1 < momentum < 1:
        raise ValueError(f"guider.momentum must be between -1 and 1, but is {momentum:g}")
    if limit is not None and not limit > 0:
        raise ValueError(f"guider.limit must be above 0, or null, but is {limit:g}")
    before: Images | None = None

    def project(x_t: Images, t: Time) -> Estimate:
        nonlocal before
        strong, weak = models.both(x_t, t)
        update = strong.x0 - weak.x0
        before = update = update if before is None else update + momentum * before
        if limit is not None:
            update = update * (limit / root_mean_square(update).clamp(min=TINY)).clamp(max=1)
        parallel = along(update, strong.x0)
        update = update - parallel + eta * parallel
        return replace(strong, x0=strong.x0 + (scale - 1) * update)

    return project


def root_mean_square(images: Images) -> Fitted:
    """The root mean square of each image, [B, 1, 1, 1]."""
    return images.flatten(1).square().mean(dim=1).sqrt()[:, None, None, None]


def along(images: Images, others: Images) -> Images:
    """The part of each image that is parallel to another image."""
    unit = torch.nn.functional.normalize(others.flatten(1), dim=1, eps=TINY)
    length = (images.flatten(1) * unit).sum(dim=1, keepdim=True)
    return (length * unit).view_as(images)
