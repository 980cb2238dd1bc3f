"""Curves of training runs side by side, from the numbers that they wrote."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from omegaconf import DictConfig

from ddpm_cli.config.build import bind_options
from ddpm_cli.config.schema import check_config
from ddpm_cli.config.values import at_least
from ddpm_cli.console import logging_to
from ddpm_cli.reports.curves import draw_curves
from ddpm_cli.run_folder.curves import Curves, curve_labels, run_folders
from ddpm_cli.text import printable

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """What `ddpm-plot` takes.

    runs: folders of runs, or of sweeps. metrics: a panel each; None for the loss, and what is held out beside training. out: the
    picture. smooth: each point is the mean of so many rows, of which it is the last. x: what the curves are drawn over.
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
        if Path(self.out).suffix not in (".png", ".svg") or Path(self.out).expanduser().is_dir():
            raise ValueError(f"out must be a file that ends in .png or .svg, but is {self.out!r}")


def plot(cfg: DictConfig) -> None:
    """Draws the curves and shows where each ends and where it is lowest; all is read before anything is written."""
    check_config(cfg, (), Options)
    options = bind_options(Options, cfg)()
    paths = dict.fromkeys(
        folder for each in options.runs for folder in run_folders(Path(each).expanduser())
    )
    curves = [Curves.read(path) for path in paths]
    named = dict(zip(map(printable, curve_labels(curves)), curves, strict=True))
    out = Path(options.out).expanduser()
    drawn = draw_curves(named, options.metrics, out, smooth=options.smooth, over=options.x)
    with logging_to(None, aloud=True):
        for line in [
            *curve_table(named, [name for panel in drawn for name in panel], options.smooth),
            f"written    {out}",
        ]:
            log.info("%s", printable(line))


def curve_table(named: Mapping[str, Curves], metrics: Sequence[str], smooth: int) -> Iterator[str]:
    """Where each curve ends and where it is lowest."""
    wide, width = (max(len(each) for each in ["metric", *texts]) for texts in (named, metrics))
    yield f"{'run':<{wide}}  {'metric':<{width}}  last step       last     lowest    at step"
    for label, run in named.items():
        for name in (name for name in metrics if name in run.names):
            steps, values = run.points(name, smooth)
            lowest = np.where(np.isnan(values), np.inf, values).argmin()
            ends = f"{steps[-1]:>9,.0f}  {values[-1]:>9.4g}  {values[lowest]:>9.4g}  {steps[lowest]:>9,.0f}"
            yield f"{label:<{wide}}  {name:<{width}}  {ends}"
