"""The report on a data set in words for the screen, and as data.json."""

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, TypeAlias

from ddpm_cli.commands.data.subject import DataReport
from ddpm_cli.image_sets.image_set import remarks
from ddpm_cli.image_sets.value_ranges import set_ranges
from ddpm_cli.preflight.image_checks import LEAST
from ddpm_cli.preflight.image_statistics import ImageStatistics
from ddpm_cli.text import duration_text, size_text

LISTED, NAMED = 20, 5  # lines on the screen for unreadable images, and for any other list
Lines: TypeAlias = Iterator[tuple[str, str]]  # pairs of a label and a text


def summary(report: DataReport) -> Lines:
    """The report line by line."""
    statistics, bad, count = (
        report.statistics,
        report.decoded.unreadable,
        len(report.decoded.records),
    )
    of_all = f"of {count:,} images"
    yield "images", f"{count:,} of {report.source.count:,} can be read"
    yield from remarks(report.decoded, report.source)
    yield from list_lines("unreadable", [f"{name}: {why}" for name, why in bad], LISTED)
    if not count:
        return
    smallest, median, largest = (f"{width:,} x {height:,}" for width, height in statistics.sizes)
    height, width = report.data.images.shape[2:]
    yield "sizes", f"{smallest} to {largest}, median {median} (width x height)"
    yield (
        "enlarged",
        f"{len(statistics.enlarged):,} {of_all} are smaller than {width:,} x {height:,}",
    )
    yield "modes", ", ".join(f"{name} {images:,}" for name, images in statistics.modes.items())
    for values in set_ranges(report.decoded.records, report.source, report.preparation):
        yield "range", str(values)
    yield from class_lines(statistics)
    yield "one colour", f"{len(statistics.plain):,} {of_all}"
    yield from list_lines(
        "", report.names(statistics.plain[: NAMED + 1]), NAMED, len(statistics.plain)
    )
    copies = sum(len(group) - 1 for group in statistics.exact)
    yield "copies", f"{copies:,} {of_all} are exact copies of others"
    exact = [" = ".join(report.names(group[:2])) for group in statistics.exact[:NAMED]]
    yield from list_lines("", exact, NAMED, len(statistics.exact))
    yield "near", f"{len(statistics.near):,} pairs of images are nearly copies"
    near = [" ~ ".join(report.names(pair)) for pair in statistics.near[:NAMED]]
    yield from list_lines("", near, NAMED, len(statistics.near))
    yield "held out", f"{len(statistics.held_out):,} {of_all}{leaks_text(report)}"
    yield "room", storage_text(report)


def leaks_text(report: DataReport) -> str:
    """The split that is held out, if one is, and the held-out images with copies in training.

    Exact copies of images that are held out by their bytes are on one side.
    """
    split, count = report.source.held_out_split, len(report.statistics.leaked)
    place = f", the split {split.name!r}" if split else ""
    return f"{place}, of which {count:,} have a {'copy or ' * bool(split)}near copy in training"


def list_lines(label: str, texts: list[str], most: int, count: int | None = None) -> Lines:
    """A label beside the first texts, one text a line, and the number of other texts."""
    more = (len(texts) if count is None else count) - most
    for text in [*texts[:most], *[f"and {more:,} more, in data.json"] * (more > 0)]:
        yield label, text
        label = ""


def class_lines(statistics: ImageStatistics) -> Lines:
    """The number of classes, the smallest and the largest class, and those with too few images."""
    if not statistics.classes:
        yield "classes", "none"
        return
    by_count = sorted(statistics.classes.items(), key=lambda each: each[1])
    (least, fewest), (greatest, most) = by_count[0], by_count[-1]
    sizes = f"of {fewest:,} images ({least}) to {most:,} ({greatest})"
    yield "classes", f"{len(by_count):,}, {sizes}; {statistics.unlabelled:,} images have none"
    small = [f"{name} has {count}" for name, count in by_count if count < LEAST]
    yield from list_lines("", small, NAMED)


def storage_text(report: DataReport) -> str:
    """Where the prepared images lie, their bytes, and the time of the decoding."""
    size, folder = size_text(math.prod(report.decoded.images.shape)), report.decoded.folder
    cache = "ram" if report.source.rows else report.preparation.cache
    memory = f"({size} of memory a process with data.cache=ram)"
    storages = {"ram": f"{size} of memory", "off": f"nothing is kept {memory}"}
    storage = storages.get(cache, f"{size} in {folder} {memory}")
    return f"{storage}, decoded in {duration_text(report.seconds)}"


def report_content(report: DataReport) -> dict[str, Any]:
    """The content of data.json: all statistics, with the names of images."""
    statistics, decoded = asdict(report.statistics), report.decoded
    statistics |= {key: report.names(statistics[key]) for key in ("plain", "leaked")}
    statistics |= {
        key: [report.names(group) for group in statistics[key]] for key in ("exact", "near")
    }
    statistics |= {key: len(statistics[key]) for key in ("enlarged", "held_out")}
    return {
        "images": report.source.count,
        "readable": len(decoded.records),
        "remarks": [f"{label} {text}" for label, text in remarks(decoded, report.source)],
        "unreadable": [{"name": name, "reason": why} for name, why in decoded.unreadable],
        **statistics,
        "ranges": list(map(asdict, set_ranges(decoded.records, report.source, report.preparation))),
        "bytes": math.prod(decoded.images.shape),
        "folder": str(decoded.folder) if decoded.folder else None,
        "seconds": round(report.seconds, 1),
    }
