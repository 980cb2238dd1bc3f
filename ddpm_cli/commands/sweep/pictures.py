"""Curves and contact sheet of a sweep."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from einops import EinopsError, rearrange
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor

from ddpm_cli.rendering.tiles import GAP, labelled_rows, save_png
from ddpm_cli.reports.curves import draw_curves
from ddpm_cli.run_folder.curves import Curves, curve_labels, option_value
from ddpm_cli.run_folder.pictures import PREVIEWS, sample_grids
from ddpm_cli.shapes import Row
from ddpm_cli.sweeps import Job
from ddpm_cli.text import printable


def sweep_pictures(jobs: Sequence[Job]) -> dict[str, Callable[[Path], object]]:
    """The pictures of jobs that have rows: their curves, and the last samples of each."""
    if not (curves := [Curves.read(job.folder) for job in jobs if job.lowest]):
        return {}
    named = dict(zip(map(printable, curve_labels(curves)), curves, strict=True))
    seen = {label: run for label, run in named.items() if sample_grids(run.folder)}
    drawn: dict[str, Callable[[Path], object]] = {
        "curves.png": lambda path: draw_curves(named, None, path, smooth=1, over="step")
    }
    if seen:
        drawn["contact.png"] = lambda path: save_png(
            path, labelled_rows([(label, grid_images(run)) for label, run in seen.items()])
        )
    return drawn


def grid_images(run: Curves) -> Row:
    """The images in the last grid of a run."""
    channels = option_value(run.config, "data.channels")
    count = PREVIEWS * (channels if channels in (2, 4, 5) else 1)
    columns = math.ceil(math.sqrt(count))
    path = [*sample_grids(run.folder).values()][-1]
    try:
        picture = pil_to_tensor(Image.open(path).convert("RGB"))[:, GAP:, GAP:]
        parts = rearrange(
            picture,
            "c (row h) (column w) -> (row column) c h w",
            row=math.ceil(count / columns),
            column=columns,
        )
    except (OSError, EinopsError, Image.DecompressionBombError) as error:
        raise ValueError(f"{str(path)!r} is no grid of samples") from error
    return parts[:count, :, :-GAP, :-GAP]
