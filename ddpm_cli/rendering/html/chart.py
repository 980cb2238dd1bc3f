"""Curves as a drawing inside the page, in the page's own colours and letters."""

import logging
import re
import warnings
from collections.abc import Mapping, Sequence
from io import StringIO
from itertools import cycle
from typing import TYPE_CHECKING, Any, TypeAlias

from ddpm_cli.rendering.html.markup import Markup, escaped, printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Line: TypeAlias = tuple[Sequence[float], Sequence[float]]
INK, LINES = (
    "#010200",
    [f"#01021{place}" for place in range(6)],
)  # stand for the colours of the style sheet
INKED = dict.fromkeys(
    ["text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color", "grid.color"],
    INK,
)
STYLE: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 10,
    "grid.alpha": 0.2,
    **INKED,
}
IDS = re.compile(
    r' id="(?:figure|axes|patch|line2d|matplotlib\.axis|xtick|ytick|text|legend|LineCollection)_\d+"'
)


def chart(lines: Mapping[str, Line], *, over: str, alt: str) -> Markup:
    """Lines by name over an axis of that name; a gap is NaN. `alt` is what is read out in its place."""
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it tells of its fonts
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    file = StringIO()
    with (
        rc_context({**STYLE, "svg.hashsalt": printable(alt)}),
        warnings.catch_warnings(action="ignore", category=UserWarning),
    ):
        figure = Figure(figsize=(4.2, 2.4))
        draw(figure, lines, over)
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return Markup(inline(file.getvalue(), alt))


def draw(figure: "Figure", lines: Mapping[str, Line], over: str) -> None:
    """Draws the lines; several have a legend."""
    axes = figure.add_axes((0.13, 0.2, 0.85, 0.76))
    for (name, (x, y)), colour, dash in zip(
        lines.items(), cycle(LINES), cycle(("-", "--", "-.", ":")), strict=False
    ):
        axes.plot(
            x,
            y,
            dash,
            color=colour,
            lw=1.5,
            marker="." if len(x) == 1 else "",
            label=printable(name),
        )
    axes.set_xlabel(printable(over))
    axes.grid()
    axes.spines[["top", "right"]].set_visible(False)
    if len(lines) > 1:
        axes.legend(frameon=False)


def inline(svg: str, alt: str) -> str:
    """A drawing as part of the page: one picture to those who hear it, with colours of the style sheet and no names of parts."""
    body = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    body = IDS.sub("", body).replace("<svg", f'<svg role="img" aria-label="{escaped(alt)}"', 1)
    return re.sub(r"#01021(\d)", r"var(--line-\1)", body.replace(INK, "currentColor"))
