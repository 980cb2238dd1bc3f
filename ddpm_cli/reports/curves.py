"""Metrics of several runs as figures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from ddpm_cli.rendering.figure import save_figure
from ddpm_cli.run_folder.curves import Curves

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Panel: TypeAlias = tuple[
    str, ...
]  # metrics on the same axes: the first one solid, the second one dashed
Over: TypeAlias = Literal["step", "images"]
CYCLE = 10  # colours in Matplotlib's own order; more runs than these share out a range of colours


def draw_curves(
    named: Mapping[str, Curves],
    metrics: Sequence[str] | None,
    out: Path,
    *,
    smooth: int,
    over: Over,
) -> list[Panel]:
    """Writes the picture; the panels in it."""
    drawn = curve_panels(
        metrics, list(dict.fromkeys(name for run in named.values() for name in run.names))
    )
    save_figure(
        out,
        (8, 3 * len(drawn) + 0.25 * len(named)),
        lambda figure: draw_panels(figure, drawn, named, smooth, over),
    )
    return drawn


def curve_panels(metrics: Sequence[str] | None, known: Sequence[str]) -> list[Panel]:
    """What is drawn: the metrics that are asked for, which some run must have."""
    held_out = tuple(name for name in ("held_out", "training") if name in known)
    measures = [(name,) for name in known if name.startswith(("fd_", "kid_"))]
    usual = [
        panel
        for panel in (("loss",) * ("loss" in known or not held_out), held_out, *measures)
        if panel
    ]
    found: list[Panel] = usual if metrics is None else [(name,) for name in metrics]
    for name in (name for panel in found for name in panel):
        if name not in known:
            raise ValueError(
                f"metrics must be among {', '.join(known) or 'none'}, but {name!r} is not"
            )
    return found


def draw_panels(
    figure: "Figure", drawn: Sequence[Panel], named: Mapping[str, Curves], smooth: int, over: Over
) -> None:
    """Draws the panels under one another, with one legend above them."""
    from matplotlib import colormaps
    from matplotlib.lines import Line2D

    count = len(named)
    colours = [
        f"C{place}" if count <= CYCLE else colormaps["turbo"](place / count)
        for place in range(count)
    ]
    every = figure.subplots(len(drawn), sharex=True, squeeze=False)[:, 0]
    for axes, panel in zip(every, drawn, strict=True):
        for run, colour in zip(named.values(), colours, strict=True):
            for name, line in zip(panel, ("-", "--"), strict=False):
                steps, values = run.points(name, smooth)
                axes.plot(
                    steps * (run.batch_size if over == "images" else 1),
                    values,
                    line,
                    color=colour,
                    lw=1.2,
                    marker=".",
                    ms=3,
                )
        axes.set_ylabel(escape_dollars(", dashed ".join(panel)))
        axes.grid(alpha=0.3)
    every[-1].set_xlabel(over)
    lines, columns = (
        [Line2D([], [], color=colour) for colour in colours],
        max(1, 100 // (8 + max(map(len, named)))),
    )
    figure.legend(
        lines, list(map(escape_dollars, named)), loc="outside upper center", ncols=columns
    )


def escape_dollars(text: str) -> str:
    """A text that Matplotlib takes for no formula."""
    return text.replace("$", r"\$")
