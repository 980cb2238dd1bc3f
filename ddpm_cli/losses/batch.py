"""What a loss is given: clean images, their noise, and what became of them at some times."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import torch
from einops import reduce

from ddpm_cli.denoiser import Denoiser
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.shapes import Images, Labels, PerImage, Time


@dataclass(frozen=True)
class Noised:
    """A batch to learn from: x_t made of x0 and eps at the times t; `weight` corrects for how the times were drawn.

    perturbed: other noise than eps, which stays the target, is in x_t.
    """

    x0: Images
    eps: Images
    x_t: Images
    t: Time
    label: Labels | None = None
    weight: PerImage | float = 1.0
    perturbed: bool = False

    @classmethod
    def at(
        cls,
        diffusion: GaussianDiffusion,
        x0: Images,
        eps: Images,
        t: Time,
        label: Labels | None = None,
    ) -> "Noised":
        """The batch that q(x_t | x_0) gives with this noise."""
        return cls(x0, eps, diffusion.add_noise(x0, eps, t), t, label)

    def split(self, size: int) -> Iterator["Noised"]:
        """The batch in parts of `size` images, the last perhaps of fewer."""
        for part in (slice(first, first + size) for first in range(0, len(self.x0), size)):
            yield Noised(*(slice_label(getattr(self, each.name), part) for each in fields(self)))


Loss: TypeAlias = Callable[[Denoiser, Noised], PerImage]


def slice_label(value: Any, part: slice) -> Any:
    """A part of what there is one of for each image; what there is one of for all, as it is."""
    return value[part] if isinstance(value, torch.Tensor) and value.ndim else value


def per_image(loss: Images) -> PerImage:
    """The mean over everything but the batch."""
    return reduce(loss, "b ... -> b", "mean")
