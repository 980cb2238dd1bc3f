"""The pictures of a search: a panel for each coordinate, and the same images by every setting."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ddpm_cli.commands.tune.results import START, Search
from ddpm_cli.commands.tune.search import Visit
from ddpm_cli.commands.tune.variant import COORDINATES, Variant
from ddpm_cli.rendering.captions import labelled_rows
from ddpm_cli.rendering.figure import save_figure
from ddpm_cli.rendering.tiles import save_png
from ddpm_cli.shapes import Bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL = 4.2  # inches: the width of a panel
COLUMNS = 3


def plot_search(path: Path, search: Search, metric: str) -> None:
    """Write the plot: a panel for one visit of each coordinate."""
    visits = shown_visits(search.visits)
    columns = min(COLUMNS, len(visits))
    rows = math.ceil(len(visits) / columns)

    def draw(figure: "Figure") -> None:
        panels = [*figure.subplots(rows, columns, squeeze=False).flat]
        for axes, visit in zip(panels, visits, strict=False):
            draw_visit(axes, visit, search.start, metric)
        for axes in panels[len(visits) :]:
            axes.set_visible(False)

    save_figure(path, (PANEL * columns, 3.4 * rows), draw)


def shown_visits(visits: Sequence[Visit]) -> list[Visit]:
    """One visit of each coordinate: the last that has changed the setting, else the last."""
    shown: dict[str, Visit] = {}
    for visit in visits:
        known = shown.get(visit.coordinate)
        if known is None or visit.after != visit.before or known.after == known.before:
            shown[visit.coordinate] = visit
    return [*shown.values()]


def draw_visit(axes: "Axes", visit: Visit, start: Variant, metric: str) -> None:
    """Draw the trials of a visit with the intervals of their differences, and the setting before.

    An interval below the line is a change for the better.
    """
    field = COORDINATES[visit.coordinate]
    before = visit.before.changes_from(start) or START
    axes.axhline(visit.value, color="black", ls=":", label=f"before: {before}")
    for place, trial in enumerate(visit.trials):
        ends = trial.difference.low, trial.difference.high
        taken = trial.setting == visit.after
        colour = "tab:green" if taken else "tab:blue"
        low, high = (visit.value + end for end in ends)
        axes.plot([place, place], [low, high], color=colour, lw=2)
        axes.plot(place, trial.value, "o", color=colour, label="taken" if taken else None)
    labels = [trial.setting.field_text(field) for trial in visit.trials]
    axes.set_xticks(range(len(labels)), labels, rotation=20 if len(labels) > 4 else 0)
    axes.margins(x=0.15)
    axes.set(title=visit.coordinate, ylabel=metric)
    axes.legend(fontsize="small")


def save_contact_sheet(path: Path, start: Variant, images: Mapping[Variant, Bytes]) -> None:
    """Write the first images of every setting, from the same noise, a row for each."""
    rows = [(each.changes_from(start) or START, part.numpy()) for each, part in images.items()]
    save_png(path, labelled_rows(rows))
