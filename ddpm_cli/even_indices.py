"""Places that are spread evenly over many."""

import numpy as np


def evenly_spaced(total: int, count: int) -> list[int]:
    """The first places of `count` equal parts of `total` places."""
    return [part * total // count for part in range(count)]


def first_to_last(total: int, most: int) -> list[int]:
    """At most `most` of `total` places, the last and the first included."""
    return sorted({*np.linspace(total - 1, 0, min(most, total)).round().astype(int).tolist()})
