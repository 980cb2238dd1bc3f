"""Figures of Matplotlib, which is imported at the first figure and needs no screen."""

import logging
import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ddpm_cli.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@cache
def import_matplotlib() -> None:
    """Import Matplotlib, which refuses to be imported with an unknown backend in MPLBACKEND.

    The environment of a notebook may name a backend that is not installed. A known backend is left
    to the user's own figures.
    """
    logging.getLogger("matplotlib").setLevel(logging.WARNING)  # its info is about fonts
    backend = os.environ.pop("MPLBACKEND", None)
    import matplotlib

    if backend is not None:
        os.environ["MPLBACKEND"] = backend
        with suppress(ValueError):
            matplotlib.rcParams["backend"] = backend


def save_figure(path: Path, size: tuple[float, float], draw: "Callable[[Figure], object]") -> None:
    """Draw a figure of a size in inches, and write it in the format that the suffix names."""
    import_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure, kind = Figure(figsize=size, layout="constrained"), path.suffix[1:]
    FigureCanvasAgg(figure)
    draw(figure)
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # missing letters
        write_atomically(path, lambda partial: figure.savefig(partial, format=kind, dpi=120))
