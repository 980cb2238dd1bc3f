"""Rows of JSON, one on each line: numbers of a run, or any objects."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ddpm_cli.files import load_text
from ddpm_cli.run_folder.layout import METRICS

LARGEST = 1e100  # the largest number that can be drawn


def metric_rows(folder: Path) -> Iterator[dict[str, float]]:
    """Yield the numbers of each row of a run, without texts and without an unfinished last row.

    A null is NaN. So is a number too large to draw. Raises ValueError for a row without a step.
    """
    path = folder / METRICS
    lines = load_text(path).rstrip("\n").split("\n") if path.is_file() else [""]
    for place, line in enumerate(lines, 1):
        try:
            row = json.loads(line, parse_int=float)
        except (ValueError, RecursionError):
            row = None
            if place == len(lines):
                return
        step = row.get("step") if isinstance(row, dict) else None
        if row is None or not isinstance(step, float) or not abs(step) < LARGEST:
            raise ValueError(
                f"line {place} of {str(path)!r} must be a JSON object with a step and numbers, "
                f"but is {line[:40]!r}"
            )
        yield {
            name: value if value is not None and abs(value) < LARGEST else math.nan
            for name, value in row.items()
            if value is None or isinstance(value, float)
        }


def json_rows(path: Path) -> list[dict[str, Any]]:
    """The JSON objects of a file, one on each line; other lines, as half a row, are skipped."""
    rows = []
    for line in load_text(path).splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except (ValueError, RecursionError):
            continue
    return [row for row in rows if isinstance(row, dict)]
