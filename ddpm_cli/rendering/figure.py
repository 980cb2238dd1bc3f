"""Figures of Matplotlib, which is imported at the first figure and needs no screen."""

import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ddpm_cli.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_figure(path: Path, size: tuple[float, float], draw: "Callable[[Figure], object]") -> None:
    """Draw a figure of a size in inches, and write it in the format that the suffix names."""
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # its info is about fonts
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure, kind = Figure(figsize=size, layout="constrained"), path.suffix[1:]
    FigureCanvasAgg(figure)
    draw(figure)
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # missing letters
        write_atomically(path, lambda partial: figure.savefig(partial, format=kind, dpi=120))
