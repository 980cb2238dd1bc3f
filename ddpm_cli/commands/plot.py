"""Curves of training runs side by side, from the numbers that the runs wrote."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from omegaconf import DictConfig

from ddpm_cli.config.invocation import Invocation
from ddpm_cli.config.schema import at_least, parse_options
from ddpm_cli.console import fact, logging_to, printable
from ddpm_cli.files import user_path
from ddpm_cli.reports.curves import draw_curves
from ddpm_cli.run_folder.curves import Curves, curve_labels, run_folders
from ddpm_cli.text import align

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """The options of `ddpm-plot`.

    runs: folders of runs or of sweeps. metrics: metrics with a panel each; None: the loss, the
    losses of held-out and training images, and the metrics of samples. out: the file of the figure.
    smooth: the rows up to each point whose mean the point shows. x: the axis of the curves.
    """

    _: KW_ONLY
    runs: list[str]
    metrics: list[str] | None
    out: str
    smooth: int
    x: Literal["step", "images"]

    def __post_init__(self) -> None:
        if not self.runs or self.metrics == []:
            raise ValueError("runs and metrics must each name at least one: nothing would be drawn")
        at_least(self, smooth=1)
        if Path(self.out).suffix not in (".png", ".svg") or user_path(self.out).is_dir():
            raise ValueError(f"out must be a file that ends in .png or .svg, but is {self.out!r}")


def plot(cfg: DictConfig, _: Invocation) -> None:
    """Draw the curves, and log the last and the lowest point of each.

    All runs are read before anything is drawn.
    """
    options = parse_options(cfg, Options)
    paths = dict.fromkeys(
        folder for each in options.runs for folder in run_folders(user_path(each))
    )
    curves = [Curves.read(path) for path in paths]
    runs = dict(zip(map(printable, curve_labels(curves)), curves, strict=True))
    out = user_path(options.out)
    panels = draw_curves(runs, options.metrics, out, smooth=options.smooth, over=options.x)
    metrics = [name for panel in panels for name in panel]
    with logging_to(None, aloud=True):
        for line in curve_table(runs, metrics, options.smooth):
            log.info("%s", line)
        fact("written", out)


def curve_table(runs: Mapping[str, Curves], metrics: Sequence[str], smooth: int) -> list[str]:
    """A table of the last and the lowest point of each curve."""
    rows = [["run", "metric", "last step", "last", "lowest", "at step"]]
    for label, run in runs.items():
        for name in (name for name in metrics if name in run.names):
            steps, values = run.points(name, smooth)
            lowest = np.where(np.isnan(values), np.inf, values).argmin()
            ends = [f"{steps[-1]:,.0f}", f"{values[-1]:.4g}"]
            rows.append([label, name, *ends, f"{values[lowest]:.4g}", f"{steps[lowest]:,.0f}"])
    return align(rows, right=range(2, 6))
