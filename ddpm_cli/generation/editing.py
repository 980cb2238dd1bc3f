"""Images steered by other images: inpainting, and noise between two ends."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

from ddpm_cli.diffusion import GaussianDiffusion, broadcast_like
from ddpm_cli.generation.generator import Noises
from ddpm_cli.samplers import Denoise, Noise, Sampler, final_state, inverse
from ddpm_cli.samplers.grids import even
from ddpm_cli.shapes import Fitted, Images, Mask, PerImage

INVERSION = 200  # steps from an image to its noise


@dataclass(frozen=True)
class Inpainting:
    """A sampler that paints where `mask` is true and keeps `image` [1, C, H, W] elsewhere.

    Lugmayr et al. 2022, algorithm 1. resample: how often each step is taken, with noise added back
    in between, so that the painted part suits the kept part. The sampler takes each step by itself,
    so that multistep solvers are of first order.
    """

    sampler: Sampler
    image: Images
    mask: Mask
    resample: int

    def __call__(
        self,
        denoise: Denoise,
        diffusion: GaussianDiffusion,
        x: Images,
        times: Sequence[float],
        noise: Noise,
        **options: Any,
    ) -> Iterator[Images]:
        image = self.image.expand_as(x)
        for t, s in pairwise(times):
            for again in reversed(range(self.resample if s > 0 else 1)):
                states = self.sampler(denoise, diffusion, x, [t, s], noise, **options)
                painted = final_state(states)
                known = diffusion.add_noise(image, noise(image), s) if s > 0 else image
                painted = torch.where(self.mask, painted, known)
                x = diffuse_again(diffusion, painted, s, t, noise(x)) if again else painted
            yield x


def diffuse_again(
    diffusion: GaussianDiffusion, x_s: Images, s: float, t: float, noise: Images
) -> Images:
    """x_t ~ q(x_t | x_s), s < t."""
    ratio = diffusion.alpha_bar_at(t) / diffusion.alpha_bar_at(s)
    return broadcast_like(ratio.sqrt(), x_s) * x_s + broadcast_like((1 - ratio).sqrt(), x_s) * noise


def inversion_steps(diffusion: GaussianDiffusion) -> int:
    """The steps of an inversion."""
    return min(INVERSION, diffusion.steps) - 1


def invert_image(denoise: Denoise, diffusion: GaussianDiffusion, image: Images) -> Iterator[Images]:
    """Yield the way to the x_T from which DDIM draws an image, by DDIM's inverse.

    The image is taken for x_1.
    """
    times = even(diffusion, inversion_steps(diffusion) + 1)[::-1]
    return inverse(denoise, diffusion, image, times, rounds=2)


def interpolate_noise(one: Noises, other: Noises, fractions: PerImage) -> Noises:
    """The noise on the way from the noise of one batch (fraction 0) to another batch's (1)."""
    return Noises(
        slerp(one.start, other.start, fractions),
        lambda like: slerp(one.steps(like), other.steps(like), fractions),
    )


def slerp(one: Images, other: Images, fractions: PerImage) -> Images:
    """Spherical interpolation, image by image (Shoemake 1985); linear between parallel noise.

    The norm of the result stays that of noise.
    """
    cosine = torch.nn.functional.cosine_similarity(one.flatten(1), other.flatten(1)).clamp(-1, 1)
    angle = cosine.acos()

    def weight(share: PerImage) -> Fitted:
        return torch.where(angle.sin() > 1e-4, (share * angle).sin() / angle.sin(), share)[
            :, None, None, None
        ]

    return weight(1 - fractions) * one + weight(fractions) * other
