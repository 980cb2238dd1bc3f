"""Classifier-free guidance, and autoguidance: one line through two estimates of x_0."""

from dataclasses import replace

import torch

from ddpm_cli.denoiser import Estimate
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.guiders.model_pair import ModelPair
from ddpm_cli.samplers import Denoise
from ddpm_cli.shapes import Images, Time


def cfg(models: ModelPair, scale: float, diffusion: GaussianDiffusion) -> Denoise:
    """Lead from the estimate without the label through the estimate with it.

    Ho & Salimans 2022, eq. 6: their w is scale - 1. Scale 0 is the model without the label alone.
    """
    return models.weak if scale == 0 else autoguidance(models, scale, diffusion)


def autoguidance(models: ModelPair, scale: float, diffusion: GaussianDiffusion) -> Denoise:
    """Lead from the estimate of a weaker model through the model's (Karras et al. 2024a, eq. 3).

    All but x_0 is the model's, since the outputs of the two may mean different things.
    """

    def lead_away(x_t: Images, t: Time) -> Estimate:
        strong, weak = models.both(x_t, t)
        return replace(strong, x0=torch.lerp(weak.x0, strong.x0, scale))

    return lead_away
