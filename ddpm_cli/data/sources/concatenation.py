"""Sources one after the other: as one set, or as training images and an official held-out split."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate, chain
from typing import Any

from numpy.typing import NDArray
from PIL import Image

from ddpm_cli.data.sources.source import HeldOutSplit, Source, hash_parts
from ddpm_cli.data_files.labels import Rules
from ddpm_cli.text import cut_text


def concatenate(
    sources: Sequence[Source],
    labels: Callable[[], Sequence[int | None]] | None,
    classes: list[str],
    rules: Rules,
) -> Source:
    """The images of all sources, one after the other, with these labels and classes."""
    ends = list(accumulate(source.count for source in sources))

    def locate_image(index: int) -> tuple[Source, int]:
        part = bisect_right(ends, index)
        return sources[part], index - (ends[part] - sources[part].count)

    def open_image(index: int) -> Image.Image | NDArray[Any]:
        source, place = locate_image(index)
        return source.open(place)

    def image_name(index: int) -> str:
        source, place = locate_image(index)
        return source.name(place)

    return Source(
        ends[-1],
        open_image,
        image_name,
        labels,
        classes,
        lambda: hash_parts(source.version() for source in sources),
        rules=rules,
        remarks=[remark for source in sources for remark in source.remarks],
    )


def open_splits(read: Callable[[str], Source], split: str, held_out_split: str | None) -> Source:
    """The source of a split, followed by the images of the held-out split if one is named.

    read: opens a split by its name. Raises ValueError if both are one split, or if their classes
    differ.
    """
    if held_out_split is None:
        return read(split)
    if held_out_split == split:
        raise ValueError(f"held_out_split must not be {split!r}, the split of the training images")
    training, held_out = read(split), read(held_out_split)
    if training.classes != held_out.classes:
        known, own = (class_list(source.classes) for source in (training, held_out))
        rule = f"classes of the split {held_out_split!r} must be those of {split!r}, {known}"
        raise ValueError(f"{rule}, but are {own}")
    numbers = [source.labels for source in (training, held_out) if source.labels]
    both = concatenate(
        (training, held_out),
        (lambda: list(chain.from_iterable(each() for each in numbers))) if numbers else None,
        training.classes,
        training.rules,
    )
    streamed = "the first " if training.rows else ""
    remark = ("held out", f"{streamed}{held_out.count:,} images of the split {held_out_split!r}")
    remarks = list(dict.fromkeys([*both.remarks, remark]))
    official = HeldOutSplit(held_out_split, training.count)
    return replace(
        both, rows=training.rows, pages=training.pages, remarks=remarks, held_out_split=official
    )


def class_list(classes: Sequence[str]) -> str:
    """The number and the names of classes, in words."""
    return f"{len(classes):,} ({cut_text(', '.join(classes))})" if classes else "none"
