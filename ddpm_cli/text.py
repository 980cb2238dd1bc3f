"""Tables as text."""

from collections.abc import Container, Sequence


def align(rows: Sequence[Sequence[str]], right: Container[int] = ()) -> list[str]:
    """Rows as lines of a table; `right`: the columns that end alike, the others begin alike."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = [">" if column in right else "<" for column in range(len(widths))]
    return [
        "  ".join(map("{:{}{}}".format, row, sides, widths)).rstrip()  # one cell after another
        for row in rows
    ]
