"""Rows of JSON, one a line: numbers of a run, or any objects."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def metric_rows(path: Path) -> Iterator[dict[str, float]]:
    """The numbers of every row; a last one that was never finished does not count."""
    lines = path.read_text(errors="replace").rstrip("\n").split("\n")
    for place, line in enumerate(lines, 1):
        try:
            row = json.loads(line, parse_int=float)
        except (ValueError, RecursionError):
            row = None
            if place == len(lines):
                return
        if (
            not isinstance(row, dict)
            or not isinstance(row.get("step"), float)
            or not abs(row["step"]) < 1e100
        ):
            raise ValueError(
                f"line {place} of {str(path)!r} must be a JSON object with a step and numbers, but is {line[:40]!r}"
            )
        yield {
            name: drawable_number(value)
            for name, value in row.items()
            if value is None or isinstance(value, float)
        }


def json_rows(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a file, a line each; lines that are none are left out, as where a run was killed while it wrote."""
    found = []
    for line in path.read_text(errors="replace").splitlines() if path.is_file() else []:
        try:
            found.append(json.loads(line))
        except (ValueError, RecursionError):
            continue
    return [each for each in found if isinstance(each, dict)]


def drawable_number(value: float | None) -> float:
    """A number as it is drawn: NaN, which is a gap, where there is none or none that can be drawn."""
    return value if value is not None and abs(value) < 1e100 else math.nan
