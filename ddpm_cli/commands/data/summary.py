"""What the screen and data.json say of a data set."""

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from ddpm_cli.commands.data.subject import DataReport
from ddpm_cli.preflight.data import LEAST
from ddpm_cli.preflight.image_facts import ImageFacts
from ddpm_cli.preflight.resources import duration_text, size_text

LISTED, NAMED = 20, 5  # lines on the screen: of what cannot be read, and of anything else


def summary_lines(subject: DataReport) -> Iterator[str]:
    """What is shown, line by line."""
    facts, bad, count = subject.facts, subject.found.unreadable, len(subject.found.records)
    yield f"images     {count:,} of {subject.source.count:,} can be read"
    yield from list_lines("unreadable", [f"{name}: {why}" for name, why in bad], LISTED)
    if not count:
        return
    smallest, median, largest = (f"{width:,} x {height:,}" for width, height in facts.sizes)
    height, width = subject.data.images.shape[2:]
    yield f"sizes      {smallest} to {largest}, median {median} (width x height)"
    yield f"enlarged   {len(facts.enlarged):,} of {count:,} images are smaller than {width:,} x {height:,}"
    yield f"modes      {', '.join(f'{name} {images:,}' for name, images in facts.modes.items())}"
    yield from class_lines(facts)
    yield f"one colour {len(facts.plain):,} of {count:,} images"
    yield from list_lines("", subject.names(facts.plain[: NAMED + 1]), NAMED, len(facts.plain))
    yield f"copies     {sum(len(group) - 1 for group in facts.exact):,} of {count:,} images are exact copies of others"
    yield from list_lines(
        "",
        [" = ".join(subject.names(group[:2])) for group in facts.exact[:NAMED]],
        NAMED,
        len(facts.exact),
    )
    yield f"near       {len(facts.near):,} pairs of images are nearly copies"
    yield from list_lines(
        "", [" ~ ".join(subject.names(pair)) for pair in facts.near[:NAMED]], NAMED, len(facts.near)
    )
    yield f"held out   {len(facts.held_out):,} of {count:,} images, of which {len(facts.leaked):,} have a near copy in training"
    yield f"room       {storage_text(subject)}"


def list_lines(title: str, texts: list[str], most: int, count: int | None = None) -> Iterator[str]:
    """A title and below one another the first of so many texts, and how many more there are."""
    more = (len(texts) if count is None else count) - most
    for place, text in enumerate(
        [*texts[:most], *[f"and {more:,} more, in data.json"] * (more > 0)]
    ):
        yield f"{'' if place else title:<10} {text}"


def class_lines(facts: ImageFacts) -> Iterator[str]:
    """What is shown of classes."""
    if not facts.classes:
        yield "classes    none"
        return
    by_count = sorted(facts.classes.items(), key=lambda each: each[1])
    (least, fewest), (greatest, most) = by_count[0], by_count[-1]
    few = [f"{name} has {count}" for name, count in by_count if count < LEAST]
    yield f"classes    {len(by_count):,}, of {fewest:,} images ({least}) to {most:,} ({greatest}); {facts.unlabelled:,} images have none"
    yield from list_lines("", few, NAMED)


def storage_text(subject: DataReport) -> str:
    """Where the prepared images lie, what they take, and how long the decoding took."""
    taken, folder = size_text(math.prod(subject.found.images.shape)), subject.found.folder
    cache = "ram" if subject.source.rows else subject.preparation.cache
    memory = f"({taken} of memory a process with data.cache=ram)"
    where = {"ram": f"{taken} of memory", "off": f"nothing is kept {memory}"}.get(
        cache, f"{taken} in {folder} {memory}"
    )
    return f"{where}, decoded in {duration_text(subject.seconds)}"


def report_facts(subject: DataReport) -> dict[str, Any]:
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
