"""The noise of an image: a function of the seed and the image's index, never of its batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ddpm_cli.samplers import Noise
from ddpm_cli.seeds import Purpose, normal_like, rng_at, words_at
from ddpm_cli.shapes import Images


@dataclass(frozen=True)
class Noises:
    """All the randomness of a batch: x_T, and the noise of the sampler's steps."""

    start: Images
    steps: Noise

    @classmethod
    def keyed(
        cls, shape: Sequence[int], seed: int, indices: Sequence[int], device: torch.device
    ) -> "Noises":
        """The noise of the images `indices`; each image has random generators of its own."""
        words = [words_at(seed, Purpose.SAMPLE_STEPS, index)[0] for index in indices]
        generators = [torch.Generator(device).manual_seed(word) for word in words]
        return cls(
            initial_noise(shape, seed, indices).to(device),
            lambda like: normal_like(like, generators),
        )


def initial_noise(shape: Sequence[int], seed: int, indices: Sequence[int]) -> Images:
    """x_T [B, C, H, W], the same on every device.

    Each image has a generator of 128 bits: words of 32 bits would collide among 50,000 images.
    """
    noise = [
        rng_at(seed, Purpose.SAMPLE_START, index).standard_normal(tuple(shape), dtype=np.float32)
        for index in indices
    ]
    return torch.from_numpy(np.stack(noise))
