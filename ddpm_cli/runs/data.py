"""What a data set is: told, written and drawn, before anything is trained on it."""

import json
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import KW_ONLY, asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from ddpm_cli.config import build, check, shared
from ddpm_cli.data import Decoded, ImageSet, Pictures, Preparation, Report, Source, decoded, report, select, together
from ddpm_cli.data.copies import Places
from ddpm_cli.files import save_text
from ddpm_cli.images import grid, labelled, save_png
from ddpm_cli.preflight.contents import LEAST
from ddpm_cli.preflight.room import duration, size
from ddpm_cli.runs.figure import save_figure
from ddpm_cli.runs.lines import printable, said
from ddpm_cli.runs.sheet import draw
from ddpm_cli.shapes import Bytes, Row

SHOWN = 64  # images in the picture
LISTED, NAMED = 20, 5  # lines on the screen: of what cannot be read, and of anything else
PICTURED = 16  # copies of each kind in their picture
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """What `ddpm-data` takes beside its data."""

    _: KW_ONLY
    trust: list[str]


@dataclass(frozen=True)
class Subject:
    """What is reported on: a source, how it is prepared, what came of that, and in how many seconds."""

    source: Source
    preparation: Preparation
    found: Decoded
    data: ImageSet
    facts: Report
    seconds: float

    def names(self, places: Places) -> list[str]:
        """The names of images."""
        return [self.source.name(place) for place in self.found.records["place"][places].tolist()]


def data(cfg: DictConfig, folder: Path) -> None:
    """Reports on the data of `cfg` and writes it into `folder`; ValueError, after all of that, where a training run would stop."""
    check(cfg, ["data"], Options)
    preparation, source = shared(cfg, "data"), build(cfg, "data")
    with said(None, aloud=True):
        subject = looked_at(source, preparation)
        for line in lines(subject):
            log.info("%s", printable(line))
        save_text(folder / "data.yaml", OmegaConf.to_yaml(cfg))
        for path in written(subject, folder):
            log.info("written    %s", path)
    bad = len(subject.found.unreadable)
    if bad and (preparation.on_error == "stop" or bad == source.count):
        remedy = "data.on_error=skip goes without" if bad < source.count else "none is left"
        raise ValueError(f"ddpm-train would stop here: {bad:,} of {source.count:,} images cannot be read ({remedy})")


def looked_at(source: Source, preparation: Preparation) -> Subject:
    """All images of a source decoded, or found in the cache, and the facts of them."""
    began = time.perf_counter()
    found = decoded(source, preparation)
    seconds = found.seconds if found.folder else time.perf_counter() - began
    data = together(found, source, preparation)
    return Subject(source, preparation, found, data, report(found.images, found.records, data, preparation.holdout), seconds)


def lines(subject: Subject) -> Iterator[str]:
    """What is shown, line by line."""
    facts, bad, count = subject.facts, subject.found.unreadable, len(subject.found.records)
    yield f"images     {count:,} of {subject.source.count:,} can be read"
    yield from listing("unreadable", [f"{name}: {why}" for name, why in bad], LISTED)
    if not count:
        return
    smallest, median, largest = (f"{width:,} x {height:,}" for width, height in facts.sizes)
    height, width = subject.data.images.shape[2:]
    yield f"sizes      {smallest} to {largest}, median {median} (width x height)"
    yield f"enlarged   {len(facts.enlarged):,} of {count:,} images are smaller than {width:,} x {height:,}"
    yield f"modes      {', '.join(f'{name} {images:,}' for name, images in facts.modes.items())}"
    yield from classes(facts)
    yield f"one colour {len(facts.plain):,} of {count:,} images"
    yield from listing("", subject.names(facts.plain[: NAMED + 1]), NAMED, len(facts.plain))
    yield f"copies     {sum(len(group) - 1 for group in facts.exact):,} of {count:,} images are exact copies of others"
    yield from listing("", [" = ".join(subject.names(group[:2])) for group in facts.exact[:NAMED]], NAMED, len(facts.exact))
    yield f"near       {len(facts.near):,} pairs of images are nearly copies"
    yield from listing("", [" ~ ".join(subject.names(pair)) for pair in facts.near[:NAMED]], NAMED, len(facts.near))
    yield f"held out   {len(facts.held_out):,} of {count:,} images, of which {len(facts.leaked):,} have a near copy in training"
    yield f"room       {room(subject)}"


def listing(title: str, texts: list[str], most: int, count: int | None = None) -> Iterator[str]:
    """A title and below one another the first of so many texts, and how many more there are."""
    more = (len(texts) if count is None else count) - most
    for place, text in enumerate([*texts[:most], *[f"and {more:,} more, in data.json"] * (more > 0)]):
        yield f"{'' if place else title:<10} {text}"


def classes(facts: Report) -> Iterator[str]:
    """What is shown of classes."""
    if not facts.classes:
        yield "classes    none"
        return
    by_count = sorted(facts.classes.items(), key=lambda each: each[1])
    (least, fewest), (greatest, most) = by_count[0], by_count[-1]
    few = [f"{name} has {count}" for name, count in by_count if count < LEAST]
    yield f"classes    {len(by_count):,}, of {fewest:,} images ({least}) to {most:,} ({greatest}); {facts.unlabelled:,} images have none"
    yield from listing("", few, NAMED)


def room(subject: Subject) -> str:
    """Where the prepared images lie, what they take, and how long the decoding took."""
    taken, folder = size(math.prod(subject.found.images.shape)), subject.found.folder
    cache = "ram" if subject.source.rows else subject.preparation.cache
    memory = f"({taken} of memory a process with data.cache=ram)"
    where = {"ram": f"{taken} of memory", "off": f"nothing is kept {memory}"}.get(cache, f"{taken} in {folder} {memory}")
    return f"{where}, decoded in {duration(subject.seconds)}"


def content(subject: Subject) -> dict[str, Any]:
    """What is written for machines: everything, with the names of images in place of their places."""
    facts, found = asdict(subject.facts), subject.found
    facts |= {key: subject.names(facts[key]) for key in ("plain", "leaked")}
    facts |= {key: [subject.names(group) for group in facts[key]] for key in ("exact", "near")}
    facts |= {key: len(facts[key]) for key in ("enlarged", "held_out")}
    return {
        "images": subject.source.count,
        "readable": len(found.records),
        "unreadable": [{"name": name, "reason": why} for name, why in found.unreadable],
        **facts,
        "bytes": math.prod(found.images.shape),
        "folder": str(found.folder) if found.folder else None,
        "seconds": round(subject.seconds, 1),
    }


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
