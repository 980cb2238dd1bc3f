"""Pictures of a data set: a grid, histograms and copies."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch

from ddpm_cli.commands.data.histograms import draw
from ddpm_cli.commands.data.subject import Subject
from ddpm_cli.commands.data.summary import content
from ddpm_cli.data import Pictures, select
from ddpm_cli.files import save_text
from ddpm_cli.rendering.figure import save_figure
from ddpm_cli.rendering.tiles import grid, labelled, save_png
from ddpm_cli.shapes import Bytes, Row

SHOWN = 64  # images in the picture
PICTURED = 16  # copies of each kind in their picture


def written(subject: Subject, folder: Path) -> Iterator[Path]:
    """Writes the report and its pictures, of which there are none without images."""
    save_text(folder / "data.json", json.dumps(content(subject), indent=2) + "\n")
    yield folder / "data.json"
    if not len(subject.found.records):
        return
    save_png(folder / "data.png", grid(spread(subject.data.images, SHOWN)))
    yield folder / "data.png"
    some = spread(subject.data.images, 16 * SHOWN)
    save_figure(folder / "histogram.png", (11, 8), partial(draw, subject.facts, subject.found.records, some))
    yield folder / "histogram.png"
    if rows := list(copies(subject)):
        save_png(folder / "copies.png", labelled(rows))
        yield folder / "copies.png"


def spread(images: Pictures, most: int) -> Bytes:
    """Some of the images, evenly over all."""
    count = min(most, len(images))
    return select(images, torch.arange(count) * len(images) // count)


def copies(subject: Subject) -> Iterator[tuple[str, Row]]:
    """The first copies side by side, each with its number in the report."""
    for kind, found in (("exact", subject.facts.exact), ("near", subject.facts.near)):
        for number, places in enumerate(found[:PICTURED]):
            yield f"{kind} {number}", select(subject.data.images, torch.from_numpy(places[:2]))
