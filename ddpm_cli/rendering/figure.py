"""Figures of Matplotlib, which is imported at the first figure and needs no screen."""

import logging
import os
import warnings
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from einops import rearrange
from PIL import Image

from ddpm_cli.files import write_atomically
from ddpm_cli.rendering.tiles import Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Draw: TypeAlias = "Callable[[Figure], object]"


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


def save_figure(path: Path, size: tuple[float, float], draw: Draw) -> None:
    """Draw a figure of a size in inches, and write it in the format that the suffix names."""
    write_atomically(path, lambda partial: draw_figure(partial, path.suffix[1:], size, draw))


def figure_picture(size: tuple[float, float], draw: Draw) -> Picture:
    """Draw a figure of a size in inches as a picture."""
    draw_figure(file := BytesIO(), "png", size, draw)
    return rearrange(np.asarray(Image.open(file).convert("RGB")), "h w c -> c h w")


def draw_figure(file: Path | BytesIO, kind: str, size: tuple[float, float], draw: Draw) -> None:
    """Draw a figure of a size in inches into a file of a kind."""
    import_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure)
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # missing letters
        figure.savefig(file, format=kind, dpi=120)
