"""Texts: tables, sizes, natural order, and what fits into a cell or an encoding."""

import math
import re
from collections.abc import Container, Sequence
from itertools import takewhile

UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")
DIGITS = re.compile(r"([0-9]{1,20})")
INSIDE = re.compile(
    r"(['\"]?)(.+)\1 (?:of|in) (['\"]).+\3$"
)  # the name of an image in an array or archive
LONGEST = 200  # characters of a cell or a label


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


def duration_text(seconds: float) -> str:
    """A number of seconds in words, with its unit."""
    minutes = seconds / 60
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def cut_text(text: str, longest: int = LONGEST) -> str:
    """A text that fits into a cell of a table or a label of a figure, or is at most so long."""
    return text if len(text) <= longest else f"{text[:longest]}..."


def names_without_folder(names: Sequence[str]) -> list[str]:
    """Names of images without the file that holds them and the folder that all names share."""
    parts = [INSIDE.sub(r"\2", name).split("/") for name in names]
    columns = zip(*(part[:-1] for part in parts), strict=False)
    shared = sum(1 for _ in takewhile(lambda column: len({*column}) == 1, columns))
    return ["/".join(part[shared:]) for part in parts]


def natural_key(text: str) -> list[str | int]:
    """A text as texts and numbers in turn, which order texts by the numbers in them."""
    return [int(part) if place % 2 else part for place, part in enumerate(DIGITS.split(text))]


def without_users(text: str) -> str:
    """A text whose addresses name no user and no password."""
    return re.sub(r"//[^/\s]*@", "//", text)


def encodable_text(text: str, encoding: str = "utf-8") -> str:
    """A text with escapes for what an encoding lacks, such as bytes of a name in Latin-1."""
    return text.encode(encoding, "backslashreplace").decode(encoding)
