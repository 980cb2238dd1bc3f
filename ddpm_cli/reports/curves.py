"""Metrics of several runs as figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from ddpm_cli.rendering.figure import save_figure
from ddpm_cli.run_folder.curves import Curves
from ddpm_cli.text import cut_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Panel: TypeAlias = tuple[str, ...]  # metrics on the same axes, the second metric dashed
Over: TypeAlias = Literal["step", "images"]
CYCLE = 10  # colours in Matplotlib's own order; more runs take colours from a colour map


def draw_curves(
    runs: Mapping[str, Curves], metrics: Sequence[str] | None, out: Path, *, smooth: int, over: Over
) -> list[Panel]:
    """Write a figure of the curves of runs by label, and return its panels."""
    known = list(dict.fromkeys(name for run in runs.values() for name in run.names))
    panels = curve_panels(metrics, known)
    size = (8, 3 * len(panels) + 0.25 * len(runs))
    save_figure(out, size, lambda figure: draw_panels(figure, panels, runs, smooth, over))
    return panels


def curve_panels(metrics: Sequence[str] | None, known: Sequence[str]) -> list[Panel]:
    """A panel for each metric; None: the usual panels. Raises ValueError for an unknown metric."""
    held_out = tuple(name for name in ("held_out", "training") if name in known)
    usual: list[Panel] = [("loss",)] * ("loss" in known or not held_out)
    usual += [held_out] * bool(held_out)
    usual += [(name,) for name in known if name.startswith(("fd_", "kid_"))]
    panels = usual if metrics is None else list[Panel]((name,) for name in metrics)
    for name in (name for panel in panels for name in panel):
        if name not in known:
            names = ", ".join(known) or "none"
            raise ValueError(f"metrics must be among {names}, but {name!r} is not")
    return panels


def draw_panels(
    figure: "Figure", panels: Sequence[Panel], runs: Mapping[str, Curves], smooth: int, over: Over
) -> None:
    """Draw the panels one below another, with one legend above the panels."""
    from matplotlib import colormaps
    from matplotlib.lines import Line2D

    count = len(runs)
    colours = [
        f"C{place}" if count <= CYCLE else colormaps["turbo"](place / count)
        for place in range(count)
    ]
    every = figure.subplots(len(panels), sharex=True, squeeze=False)[:, 0]
    for axes, panel in zip(every, panels, strict=True):
        for run, colour in zip(runs.values(), colours, strict=True):
            for name, dash in zip(panel, ("-", "--"), strict=False):
                steps, values = run.points(name, smooth)
                x = steps * (run.batch_size if over == "images" else 1)
                axes.plot(x, values, dash, color=colour, lw=1.2, marker=".", ms=3)
        axes.set_ylabel(escape_dollars(", dashed ".join(panel)))
        axes.grid(alpha=0.3)
    every[-1].set_xlabel(over)
    lines = [Line2D([], [], color=colour) for colour in colours]
    texts = list(map(cut_text, runs))
    labels, columns = list(map(escape_dollars, texts)), max(1, 100 // (8 + max(map(len, texts))))
    figure.legend(lines, labels, loc="outside upper center", ncols=columns)


def escape_dollars(text: str) -> str:
    """A text with escaped dollar signs, which Matplotlib does not read as a formula."""
    return text.replace("$", r"\$")
