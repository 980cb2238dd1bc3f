"""Randomness as a function of (seed, purpose, position), never of what ran before."""

from collections.abc import Iterable
from enum import IntEnum

import numpy as np
import torch

from ddpm_cli.shapes import Images

MAX_STEPS, MAX_IMAGES = 10**8, 10**9  # more than any run has


class Purpose(IntEnum):
    """The purpose of randomness. The numbers never change: every run's identity includes them."""

    WEIGHTS = 0
    ORDER = 1
    FLIP = 2
    TIMES = 3
    NOISE = 4
    DROPOUT = 5
    SAMPLE_START = 6
    SAMPLE_STEPS = 7
    LABELS = 8
    OFFSET = 9
    PERTURBATION = 10
    EVALUATION = 11
    CROP = 12


def rng_at(seed: int, purpose: Purpose, *position: int) -> np.random.Generator:
    """The random generator of a position: a step, an epoch, or the index of an image."""
    return np.random.default_rng(np.random.SeedSequence([seed, purpose, *position]))


def words_at(seed: int, purpose: Purpose, *position: int, count: int = 1) -> list[int]:
    """`count` words of 32 bits from one position.

    torch reads 32 bits of a seed. One sequence for a batch takes a seventh of the time of one
    sequence per image.
    """
    sequence = np.random.SeedSequence([seed, purpose, *position])
    return sequence.generate_state(count).tolist()


def normal_like(like: Images, generators: Iterable[torch.Generator]) -> Images:
    """Standard normal noise shaped as `like`; image i comes from the i-th generator alone.

    One generator may be seeded anew for each image: a third cheaper than a generator per image.
    """
    noise = torch.empty_like(like, memory_format=torch.contiguous_format)
    for image, generator in zip(noise, generators, strict=True):
        image.normal_(generator=generator)
    return noise
