"""The parts of a key and of a position: seed, purpose, and their ranges."""

from enum import IntEnum

RANDOMNESS = 2  # version of all noise; 1: torch's generators, 2: Philox4x32-10
MAX_STEPS, MAX_IMAGES = 10**8, 10**9  # more than any run has
SEEDS, SUBS = 2**64, 2**24  # number of seeds, and of sub-numbers of a purpose


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


def check_seed(seed: int, name: str = "seed") -> None:
    """Raise ValueError for a seed that 64 bits cannot hold. name: the option in the message."""
    if not 0 <= seed < SEEDS:
        raise ValueError(f"{name} must be at least 0 and less than 2^64, but is {seed}")


def key_of(seed: int) -> tuple[int, int]:
    """The key of a seed: its low and its high 32 bits."""
    check_seed(seed)
    return seed & 0xFFFFFFFF, seed >> 32


def tag_of(purpose: Purpose, sub: int) -> int:
    """The last word of a counter: 8 bits of purpose, 24 bits of its sub-number."""
    assert 0 <= sub < SUBS, sub
    return purpose * SUBS + sub
