"""The last and the lowest number of every metric of a run."""

import math
from pathlib import Path
from typing import TypeAlias

from ddpm_cli.run_folder.rows import metric_rows

Numbers: TypeAlias = dict[str, float]


def last_and_lowest(folder: Path) -> tuple[Numbers, Numbers]:
    """The last and the lowest number of every metric of a run, without gaps."""
    last, lowest = dict[str, float](), dict[str, float]()
    for row in metric_rows(folder):
        numbers = {name: value for name, value in row.items() if math.isfinite(value)}
        last |= numbers
        lowest |= {name: min(value, lowest.get(name, value)) for name, value in numbers.items()}
    lowest.pop("step", None)
    return last, lowest
