"""Curves as a drawing inside the page, in the page's own colours and letters."""

import re
import warnings
from collections.abc import Mapping, Sequence
from io import StringIO
from itertools import cycle
from typing import TYPE_CHECKING, Any, TypeAlias

from markupsafe import Markup, escape

from ddpm_cli.console import printable
from ddpm_cli.rendering.figure import import_matplotlib

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Line: TypeAlias = tuple[Sequence[float], Sequence[float]]
INK = "#010200"  # stands for the colour of the page's text; LINES stand for its curves' colours
LINES = [f"#01021{place}" for place in range(6)]
INKED = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
STYLE: Any = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 10,
    "grid.alpha": 0.2,
    **dict.fromkeys([*INKED, "grid.color"], INK),
}
PARTS = r"figure|axes|patch|line2d|matplotlib\.axis|xtick|ytick|text|legend|LineCollection"
IDS = re.compile(rf' id="(?:{PARTS})_\d+"')


def chart(lines: Mapping[str, Line], *, over: str, alt: str) -> Markup:
    """A chart of lines by name over the axis `over`; a gap is NaN, `alt` the text for readers."""
    import_matplotlib()
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    file = StringIO()
    with (
        rc_context({**STYLE, "svg.hashsalt": printable(alt)}),
        warnings.catch_warnings(action="ignore", category=UserWarning),
    ):
        figure = Figure(figsize=(4.2, 2.4))
        draw_lines(figure, lines, over)
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return inline_svg(file.getvalue(), alt)


def draw_lines(figure: "Figure", lines: Mapping[str, Line], over: str) -> None:
    """Draw the lines, and a legend if there are several lines."""
    axes = figure.add_axes((0.13, 0.2, 0.85, 0.76))
    styles = zip(cycle(LINES), cycle(("-", "--", "-.", ":")), strict=False)
    for (name, (x, y)), (colour, dash) in zip(lines.items(), styles, strict=False):
        marker = "." if len(x) == 1 else ""
        axes.plot(x, y, dash, color=colour, lw=1.5, marker=marker, label=printable(name))
    axes.set_xlabel(printable(over))
    axes.grid()
    axes.spines[["top", "right"]].set_visible(False)
    if len(lines) > 1:
        axes.legend(frameon=False)


def inline_svg(svg: str, alt: str) -> Markup:
    """A drawing as one image of the page, in the page's colours, without names of parts."""
    body = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    label = f'<svg role="img" aria-label="{escape(printable(alt))}"'
    body = IDS.sub("", body).replace("<svg", label, 1).replace(INK, "currentColor")
    return Markup(re.sub(r"#01021(\d)", r"var(--line-\1)", body))
