"""The batch of a loss: clean images, their noise, and the mixture of both at some times."""

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
    """A batch to learn from: x_t mixes x0 and eps at the times t.

    weight: the correction for the distribution of the times. perturbed: whether x_t holds other
    noise than eps, which stays the target.
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
        """The batch of q(x_t | x_0) with the noise `eps`."""
        return cls(x0, eps, diffusion.add_noise(x0, eps, t), t, label)

    def split(self, size: int) -> Iterator["Noised"]:
        """Yield parts of `size` images; the last part may hold fewer."""
        values = [getattr(self, each.name) for each in fields(self)]
        for first in range(0, len(self.x0), size):
            part = slice(first, first + size)
            parts: list[Any] = [
                each[part] if isinstance(each, torch.Tensor) and each.ndim else each
                for each in values
            ]
            yield Noised(*parts)


Loss: TypeAlias = Callable[[Denoiser, Noised], PerImage]


def per_image(loss: Images) -> PerImage:
    """The mean over all axes but the batch."""
    return reduce(loss, "b ... -> b", "mean")
