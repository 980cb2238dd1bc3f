"""Rows of JSON, one on each line: numbers of a run, or any objects."""

import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ddpm_cli.config.plain_text import bounded_text, plain_json
from ddpm_cli.run_folder.layout import METRICS

LARGEST = 1e100  # the largest number that can be drawn
MOST_BYTES, MOST_ROWS = 2**28, 2_000_000  # of a file
LONGEST, MOST_NAMES, NAME = 2**20, 100, 200  # characters of a row; metrics; characters of a metric


def metric_rows(folder: Path) -> Iterator[dict[str, float]]:
    """Yield the numbers of each row of a run, without texts and without an unfinished last row.

    A null is NaN. So is a number too large to draw. Raises ValueError for a row without a step, and
    for more names than a run has.
    """
    path, names = folder / METRICS, set[str]()
    lines = read_lines(path, MOST_BYTES)
    for place, line in enumerate(lines, 1):
        try:
            row = plain_json(line, float)
        except ValueError:
            row = None
            if place == len(lines):
                return
        step = row.get("step") if isinstance(row, dict) else None
        if row is None or not isinstance(step, float) or not abs(step) < LARGEST:
            raise ValueError(
                f"line {place} of {str(path)!r} must be a JSON object with a step and numbers, "
                f"but is {line[:40]!r}"
            )
        if not row.keys() <= names:
            names |= row.keys()
            if len(names) > MOST_NAMES or max(map(len, names)) > NAME:
                limits = f"{MOST_NAMES} names of at most {NAME} characters"
                raise ValueError(f"{str(path)!r} must have at most {limits}")
        yield {
            name: value if value is not None and abs(value) < LARGEST else math.nan
            for name, value in row.items()
            if value is None or isinstance(value, float)
        }


def json_rows(path: Path, most: int = MOST_BYTES) -> list[dict[str, Any]]:
    """The JSON objects of a file, one on each line; other lines, as half a row, are skipped.

    Raises ValueError for a file of more than `most` bytes.
    """
    rows = []
    for line in read_lines(path, most):
        with suppress(ValueError):
            rows.append(plain_json(line))
    return [row for row in rows if isinstance(row, dict)]


def read_lines(path: Path, most: int) -> list[str]:
    """Read the lines of a file; a missing file has one empty line.

    Raises ValueError for more or longer lines than a run has.
    """
    lines = bounded_text(path, most).rstrip("\n").split("\n")
    if len(lines) > MOST_ROWS or max(map(len, lines)) > LONGEST:
        limits = f"{MOST_ROWS:,} rows of at most {LONGEST:,} characters"
        raise ValueError(f"{str(path)!r} must have at most {limits}")
    return lines


def is_drawable(value: Any) -> bool:
    """Whether a value is a number that can be drawn, or NaN."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and not abs(value) >= LARGEST
