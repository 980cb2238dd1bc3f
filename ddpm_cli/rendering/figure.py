"""A figure of Matplotlib's, which is imported only when one is drawn, and drawn without a screen."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ddpm_cli.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_figure(path: Path, size: tuple[float, float], draw: "Callable[[Figure], object]") -> None:
    """Has a figure of so many inches drawn, and writes it in the format that the suffix names."""
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it tells of its fonts
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure)
    with warnings.catch_warnings(
        action="ignore", category=UserWarning
    ):  # its font has not the letters of all names
        write_atomically(
            path, lambda partial: figure.savefig(partial, format=path.suffix[1:], dpi=120)
        )
