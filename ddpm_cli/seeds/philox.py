"""Philox4x32-10: four words of 32 bits as a function of a counter and a key, without a state."""

import math
from typing import Any, TypeAlias

UNIT, FULL_TURN = (
    2.0**-32,
    2 * math.pi * 2.0**-32,
)  # of a word: to 1, and to the angle of a full turn
Word: TypeAlias = Any  # a Python int, an int64 tensor, or a number in a Triton kernel
Words: TypeAlias = tuple[Word, Word, Word, Word]


def philox(c0: "Word", c1: "Word", c2: "Word", c3: "Word", k0: "Word", k1: "Word") -> "Words":
    """The words of a counter and a key (Salmon et al. 2011); all are at least 0 and below 2^32.

    int64 products wrap round at 2^64 and keep all bits. The mask drops the copies of the sign that
    a right shift inserts. A low half is masked where it enters an even word, or at the end.
    """
    for _ in range(10):
        even, odd = c0 * 0xD2511F53, c2 * 0xCD9E8D57
        c0, c1 = ((odd >> 32) ^ c1 ^ k0) & 0xFFFFFFFF, odd
        c2, c3 = ((even >> 32) ^ c3 ^ k1) & 0xFFFFFFFF, even
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c0, c1 & 0xFFFFFFFF, c2, c3 & 0xFFFFFFFF
