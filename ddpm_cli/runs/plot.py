"""Curves of training runs side by side, from the numbers that they wrote."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from omegaconf import DictConfig

from ddpm_cli.config import at_least, bound, check
from ddpm_cli.runs.curves import Curves, folders, labels
from ddpm_cli.runs.figure import save_figure
from ddpm_cli.runs.lines import printable, said

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Panel: TypeAlias = tuple[str, ...]  # metrics on the same axes: the first one solid, the second one dashed
CYCLE = 10  # colours in Matplotlib's own order; more runs than these share out a range of colours
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
    check(cfg, (), Options)
    options = bound(Options, cfg)()
    paths = dict.fromkeys(folder for each in options.runs for folder in folders(Path(each).expanduser()))
    curves = [Curves.read(path) for path in paths]
    named = dict(zip(map(printable, labels(curves)), curves, strict=True))
    out = Path(options.out).expanduser()
    drawn = draw(named, options, out)
    with said(None, aloud=True):
        for line in [*table(named, [name for panel in drawn for name in panel], options.smooth), f"written    {out}"]:
            log.info("%s", printable(line))


def draw(named: Mapping[str, Curves], options: Options, out: Path) -> list[Panel]:
    """Writes the picture; the panels in it."""
    drawn = panels(options.metrics, list(dict.fromkeys(name for run in named.values() for name in run.names)))
    save_figure(out, (8, 3 * len(drawn) + 0.25 * len(named)), lambda figure: show(figure, drawn, named, options))
    return drawn


def panels(metrics: Sequence[str] | None, known: Sequence[str]) -> list[Panel]:
    """What is drawn: the metrics that are asked for, which some run must have."""
    held_out = tuple(name for name in ("held_out", "training") if name in known)
    measures = [(name,) for name in known if name.startswith(("fd_", "kid_"))]
    usual = [panel for panel in (("loss",) * ("loss" in known or not held_out), held_out, *measures) if panel]
    found: list[Panel] = usual if metrics is None else [(name,) for name in metrics]
    for name in (name for panel in found for name in panel):
        if name not in known:
            raise ValueError(f"metrics must be among {', '.join(known) or 'none'}, but {name!r} is not")
    return found


def show(figure: "Figure", drawn: Sequence[Panel], named: Mapping[str, Curves], options: Options) -> None:
    """Draws the panels under one another, with one legend above them."""
    from matplotlib import colormaps
    from matplotlib.lines import Line2D

    count = len(named)
    colours = [f"C{place}" if count <= CYCLE else colormaps["turbo"](place / count) for place in range(count)]
    every = figure.subplots(len(drawn), sharex=True, squeeze=False)[:, 0]
    for axes, panel in zip(every, drawn, strict=True):
        for run, colour in zip(named.values(), colours, strict=True):
            for name, line in zip(panel, ("-", "--"), strict=False):
                steps, values = run.points(name, options.smooth)
                axes.plot(steps * (run.batch_size if options.x == "images" else 1), values, line, color=colour, lw=1.2, marker=".", ms=3)
        axes.set_ylabel(plain(", dashed ".join(panel)))
        axes.grid(alpha=0.3)
    every[-1].set_xlabel(options.x)
    lines, columns = [Line2D([], [], color=colour) for colour in colours], max(1, 100 // (8 + max(map(len, named))))
    figure.legend(lines, list(map(plain, named)), loc="outside upper center", ncols=columns)


def plain(text: str) -> str:
    """A text that Matplotlib takes for no formula."""
    return text.replace("$", r"\$")


def table(named: Mapping[str, Curves], metrics: Sequence[str], smooth: int) -> Iterator[str]:
    """Where each curve ends and where it is lowest."""
    wide, width = (max(len(each) for each in ["metric", *texts]) for texts in (named, metrics))
    yield f"{'run':<{wide}}  {'metric':<{width}}  last step       last     lowest    at step"
    for label, run in named.items():
        for name in (name for name in metrics if name in run.names):
            steps, values = run.points(name, smooth)
            lowest = np.where(np.isnan(values), np.inf, values).argmin()
            ends = f"{steps[-1]:>9,.0f}  {values[-1]:>9.4g}  {values[lowest]:>9.4g}  {steps[lowest]:>9,.0f}"
            yield f"{label:<{wide}}  {name:<{width}}  {ends}"
