"""The time that a run spent in its steps, and its speed."""

from itertools import pairwise

from ddpm_cli.run_folder.curves import Curves
from ddpm_cli.text import duration_text


def speed_text(curves: Curves, batch: int) -> str:
    """The time of all steps at the measured speeds, and the mean speed; "" if none is measured."""
    rows = [row for row in curves.rows if row.get("images_per_second", 0) > 0]
    counts = [after - before for before, after in pairwise([0, *(row["step"] for row in rows)])]
    seconds = sum(
        count * batch / row["images_per_second"] for count, row in zip(counts, rows, strict=True)
    )
    if not seconds > 0:
        return ""
    steps = sum(counts) / seconds
    speed = f"{steps:,.3g} steps and {steps * batch:,.0f} images a second"
    return f"{duration_text(seconds)} at {speed}"
