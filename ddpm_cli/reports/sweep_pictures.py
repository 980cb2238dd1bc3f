"""Curves and contact sheet of a sweep."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ddpm_cli.console import printable
from ddpm_cli.rendering.captions import labelled_rows
from ddpm_cli.rendering.tiles import Picture, save_png
from ddpm_cli.reports.curves import draw_curves
from ddpm_cli.reports.samples import grid_images
from ddpm_cli.reports.sweep_page import CONTACT, CURVES
from ddpm_cli.run_folder.curves import Curves, curve_labels, option_value
from ddpm_cli.run_folder.pictures import sample_grids
from ddpm_cli.sweeps import Job

TILE, MOST_PIXELS = 48, 2**28  # the least pixels a side of an image; pixels of the contact sheet


def sweep_pictures(jobs: Sequence[Job]) -> dict[str, Callable[[Path], object]]:
    """Functions by file name that draw the jobs' curves, and the last samples of each job."""
    if not (curves := [Curves.read(job.folder) for job in jobs if job.lowest]):
        return {}
    runs = dict(zip(map(printable, curve_labels(curves)), curves, strict=True))
    sampled = {label: run for label, run in runs.items() if sample_grids(run.folder)}
    pictures: dict[str, Callable[[Path], object]] = {
        CURVES: lambda path: draw_curves(runs, None, path, smooth=1, over="step")
    }
    if sampled:
        pictures[CONTACT] = lambda path: save_png(path, contact_sheet(sampled))
    return pictures


def contact_sheet(sampled: Mapping[str, Curves]) -> Picture:
    """The last samples of runs by label. Raises ValueError if they are too large for one sheet."""
    rows, height, width = [], 0, 0
    for label, run in sampled.items():
        path = [*sample_grids(run.folder).values()][-1]
        rows.append((label, images := grid_images(path, option_value(run.config, "data.channels"))))
        count, _, high, wide = images.shape
        zoom = max(1, math.ceil(TILE / min(high, wide)))
        height, width = height + high * zoom, max(width, count * wide * zoom)
        if height * width > MOST_PIXELS:
            raise ValueError(f"the samples need more than {MOST_PIXELS:,} pixels")
    return labelled_rows(rows, TILE)
