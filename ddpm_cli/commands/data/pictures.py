"""Pictures of a data set: a grid, histograms and copies."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch

from ddpm_cli.commands.data.histograms import draw_histograms
from ddpm_cli.commands.data.subject import DataReport
from ddpm_cli.commands.data.summary import report_facts
from ddpm_cli.data import ImageArray, select_images
from ddpm_cli.files import save_text
from ddpm_cli.rendering.figure import save_figure
from ddpm_cli.rendering.tiles import grid, labelled_rows, save_png
from ddpm_cli.shapes import Bytes, Row

SHOWN = 64  # images in the picture
PICTURED = 16  # copies of each kind in their picture


def write_data_report(subject: DataReport, folder: Path) -> Iterator[Path]:
    """Writes the report and its pictures, of which there are none without images."""
    save_text(folder / "data.json", json.dumps(report_facts(subject), indent=2) + "\n")
    yield folder / "data.json"
    if not len(subject.found.records):
        return
    save_png(folder / "data.png", grid(some_images(subject.data.images, SHOWN)))
    yield folder / "data.png"
    some = some_images(subject.data.images, 16 * SHOWN)
    save_figure(
        folder / "histogram.png",
        (11, 8),
        partial(draw_histograms, subject.facts, subject.found.records, some),
    )
    yield folder / "histogram.png"
    if rows := list(copy_rows(subject)):
        save_png(folder / "copies.png", labelled_rows(rows))
        yield folder / "copies.png"


def some_images(images: ImageArray, most: int) -> Bytes:
    """Some of the images, evenly over all."""
    count = min(most, len(images))
    return select_images(images, torch.arange(count) * len(images) // count)


def copy_rows(subject: DataReport) -> Iterator[tuple[str, Row]]:
    """The first copies side by side, each with its number in the report."""
    for kind, found in (("exact", subject.facts.exact), ("near", subject.facts.near)):
        for number, places in enumerate(found[:PICTURED]):
            yield (
                f"{kind} {number}",
                select_images(subject.data.images, torch.from_numpy(places[:2])),
            )
