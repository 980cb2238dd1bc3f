"""Tables and sizes as text."""

import math
from collections.abc import Container, Sequence

UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def align(rows: Sequence[Sequence[str]], right: Container[int] = ()) -> list[str]:
    """Rows as lines of a table; `right`: the columns that end alike, the others begin alike."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = [">" if column in right else "<" for column in range(len(widths))]
    return [
        "  ".join(map("{:{}{}}".format, row, sides, widths)).rstrip()  # one cell after another
        for row in rows
    ]


def size_text(count: float) -> str:
    """A number of bytes in words, with its unit."""
    power = min(len(UNITS) - 1, int(math.log2(max(1, count)) / 10))
    return f"{count / 2 ** (10 * power):.{int(power > 0)}f} {UNITS[power]}"
