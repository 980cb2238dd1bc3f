"""Random numbers on the host: a generator, words, or a seed for torch, at a position."""

import numpy as np

from ddpm_cli.seeds.philox import philox
from ddpm_cli.seeds.purpose import Purpose, key_of, tag_of

WIDE = 2**8  # mark on the purpose of a seed with a second word


def rng_at(seed: int, purpose: Purpose, *position: int) -> np.random.Generator:
    """The random generator of a position: a step, an epoch, or a window of a stream.

    A seed below 2^32 is one word. The mark WIDE keeps the second word of a larger seed from being
    read as a position.
    """
    low, high = key_of(seed)
    words = [low, purpose + WIDE, high] if high else [low, purpose]
    return np.random.default_rng(np.random.SeedSequence([*words, *position]))


def words_at(seed: int, purpose: Purpose, *position: int, count: int = 1) -> list[int]:
    """`count` words of 32 bits from a position of at most three numbers: step, image, sub-number.

    A purpose has positions of one length, because missing numbers are 0.
    """
    step, image, sub = [*position, *[0] * (3 - len(position))]
    assert all(0 <= number < 2**32 for number in (step, image)), position
    counter, key = (step, image, tag_of(purpose, sub)), key_of(seed)
    blocks = (philox(block, *counter, *key) for block in range(-(-count // 4)))
    return [word for block in blocks for word in block][:count]


def torch_seed(seed: int, purpose: Purpose, *position: int) -> int:
    """A seed of 64 bits for a generator of torch. The generator of the CPU reads 32 of them."""
    low, high = words_at(seed, purpose, *position, count=2)
    return low + (high << 32)
