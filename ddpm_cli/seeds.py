"""Randomness as a function of (seed, purpose, position), never of what ran before."""

from collections.abc import Iterable, Iterator
from enum import IntEnum

import numpy as np
import torch

from ddpm_cli.shapes import Images

LONGEST = 10**8  # more steps than any run has


class Purpose(IntEnum):
    """What randomness is for. The numbers are part of every run's identity: they never change."""

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


def sequence_at(seed: int, purpose: Purpose, *position: int) -> np.random.SeedSequence:
    """The well-mixed entropy of one position (a step, an epoch, the index of an image); torch alone reads 32 bits of a seed."""
    return np.random.SeedSequence([seed, purpose, *position])


def rng_at(seed: int, purpose: Purpose, *position: int) -> np.random.Generator:
    """The random generator of one position."""
    return np.random.default_rng(sequence_at(seed, purpose, *position))


def words_at(seed: int, purpose: Purpose, *position: int, count: int = 1) -> list[int]:
    """`count` words of 32 bits from one position: one sequence serves a whole batch, seven times quicker than one each."""
    return sequence_at(seed, purpose, *position).generate_state(count).tolist()


def reseed(words: Iterable[int], device: torch.device) -> Iterator[torch.Generator]:
    """One generator seeded anew for each image: a third cheaper than one each, for images that draw once."""
    generator = torch.Generator(device)
    return (generator.manual_seed(word) for word in words)


def normal_like(like: Images, generators: Iterable[torch.Generator]) -> Images:
    """Standard normal noise of the shape of `like`, image i from the i-th generator alone."""
    noise = torch.empty_like(like, memory_format=torch.contiguous_format)
    for image, generator in zip(noise, generators, strict=True):
        image.normal_(generator=generator)
    return noise
