"""The files of a report on a data set: data.json, a grid, histograms, and copies."""

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch

from ddpm_cli.commands.data.histograms import bar_counts, draw_histograms
from ddpm_cli.commands.data.subject import DataReport
from ddpm_cli.commands.data.summary import report_content
from ddpm_cli.even_indices import evenly_spaced
from ddpm_cli.files import save_text
from ddpm_cli.images import select_images
from ddpm_cli.preflight.duplicates import Places
from ddpm_cli.rendering.captions import labelled_rows
from ddpm_cli.rendering.figure import save_figure
from ddpm_cli.rendering.tiles import ImageBytes, Picture, grid, save_png
from ddpm_cli.text import names_without_folder

SHOWN = 64  # images in the grid; the histogram of bytes uses 16 times as many
PAIRS = 16  # copies of each kind in the picture of copies


def write_data_report(report: DataReport, folder: Path) -> Iterator[Path]:
    """Write the report, and its pictures if there are images; yield the paths."""
    save_text(folder / "data.json", json.dumps(report_content(report), indent=2) + "\n")
    yield folder / "data.json"
    if not len(report.decoded.records):
        return
    save_png(folder / "data.png", grid(spread_images(report, SHOWN)))
    yield folder / "data.png"
    images = spread_images(report, 16 * SHOWN)
    draw = partial(draw_histograms, report.statistics, report.decoded.records, images)
    save_figure(folder / "histogram.png", (11, 8 if bar_counts(report.statistics) else 4), draw)
    yield folder / "histogram.png"
    if pairs := list(copy_pairs(report)):
        save_png(folder / "copies.png", copies_picture(report, pairs))
        yield folder / "copies.png"


def spread_images(report: DataReport, most: int) -> ImageBytes:
    """At most `most` of the images, spread evenly."""
    images = report.data.images
    places = evenly_spaced(len(images), min(most, len(images)))
    return select_images(images, torch.tensor(places)).numpy()


def copy_pairs(report: DataReport) -> Iterator[tuple[str, Places]]:
    """The first copies of each kind: their number in the report, and the places of two of them."""
    for kind, groups in (("exact", report.statistics.exact), ("near", report.statistics.near)):
        for number, places in enumerate(groups[:PAIRS]):
            yield f"{kind} {number}", places[:2]


def copies_picture(report: DataReport, pairs: Sequence[tuple[str, Places]]) -> Picture:
    """Copies side by side, with their names below them."""
    names = names_without_folder([name for _, places in pairs for name in report.names(places)])
    rows = [
        (label, select_images(report.data.images, torch.from_numpy(places)).numpy())
        for label, places in pairs
    ]
    return labelled_rows(rows, notes=list(zip(names[::2], names[1::2], strict=True)))
