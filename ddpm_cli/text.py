"""Tables and CSV as text."""

import csv
from collections.abc import Container, Iterable, Sequence
from io import StringIO


def align(rows: Sequence[Sequence[str]], right: Container[int] = ()) -> list[str]:
    """Rows as lines of a table; `right`: the columns that end alike, the others begin alike."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = [">" if column in right else "<" for column in range(len(widths))]
    return [
        "  ".join(map("{:{}{}}".format, row, sides, widths)).rstrip()  # one cell after another
        for row in rows
    ]


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV, a line each; None is an empty cell."""
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
