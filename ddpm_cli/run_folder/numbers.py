"""The last and the lowest number of every metric of a run."""

import math
from pathlib import Path
from typing import TypeAlias

from ddpm_cli.run_folder.rows import metric_rows

Numbers: TypeAlias = dict[str, float]


def last_and_lowest(path: Path) -> tuple[Numbers, Numbers]:
    """The last and the lowest number of every metric of a run's rows; gaps do not count."""
    last, lowest = dict[str, float](), dict[str, float]()
    for row in metric_rows(path) if path.is_file() and path.stat().st_size else ():
        found = {name: value for name, value in row.items() if math.isfinite(value)}
        last |= found
        lowest |= {
            name: min(value, lowest.get(name, value))
            for name, value in found.items()
            if name != "step"
        }
    return last, lowest
