"""The two models of guidance: the model itself, and the weaker model that guidance leaves."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ddpm_cli.denoiser import Estimate
from ddpm_cli.samplers import Denoise, with_label
from ddpm_cli.shapes import Images, Labels, Time


@dataclass(frozen=True)
class ModelPair:
    """The model, the weaker model, and both of them at once: (x_t, t) -> (strong, weak)."""

    strong: Denoise
    weak: Denoise
    both: Callable[[Images, Time], tuple[Estimate, Estimate]]


def with_and_without_label(denoise: Denoise, label: Labels) -> ModelPair:
    """A model with a label, and without. One batch of the network holds both estimates."""
    labels = torch.cat([label, torch.full_like(label, -1)])

    def both(x_t: Images, t: Time) -> tuple[Estimate, Estimate]:
        estimate = denoise(torch.cat([x_t, x_t]), t, labels)
        outputs, images = estimate.output.chunk(2), estimate.x0.chunk(2)
        variance = estimate.variance_interpolation
        variances = [variance] * 2 if isinstance(variance, float) else variance.chunk(2)
        strong, weak = map(Estimate, outputs, images, variances)
        return strong, weak

    return ModelPair(with_label(denoise, label), denoise, both)


def beside_guide(denoise: Denoise, guide: Denoise) -> ModelPair:
    """A model, and a weaker model of the same images: its guide."""
    return ModelPair(denoise, guide, lambda x_t, t: (denoise(x_t, t), guide(x_t, t)))
