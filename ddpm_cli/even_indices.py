"""Indices that are spread evenly over a sequence."""

import numpy as np


def evenly_spaced(total: int, count: int) -> list[int]:
    """The first indices of `count` equal parts of a sequence of `total` items."""
    return [part * total // count for part in range(count)]


def first_to_last(total: int, most: int) -> list[int]:
    """At most `most` of `total` indices, the last and the first included."""
    return sorted({*np.linspace(total - 1, 0, min(most, total)).round().astype(int).tolist()})
