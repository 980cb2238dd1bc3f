"""What a source of images is, and the sources that rows of a table are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any, TypeAlias

import fsspec
import numpy as np
import PIL.Image
from datasets import ClassLabel, Dataset, IterableDataset
from numpy.typing import NDArray

from ddpm_cli.data.sources.labels import class_numbers, class_order
from ddpm_cli.data.sources.versions import files_at, files_version, hash_parts

HEAD = 1024  # rows of a stream that are kept in memory, to be shown and evaluated
Table: TypeAlias = Dataset | IterableDataset


@dataclass(frozen=True)
class Rows:
    """A set that is read as it is trained on: its columns of undecoded images and of labels, and how many rows it has, if that is known."""

    table: IterableDataset
    image: str
    label: str | None
    count: int | None


@dataclass(frozen=True)
class Source:
    """Images by their number, opened when they are wanted, and how messages call them; labels, None where there are no classes.

    open: gives an array [H, W, C] where no mode of Pillow has its channels. version: changes whenever an image may have changed, or their
    order, and reads no pixels. parts: how many images, one after another, come from each of several sources, and their share of what is
    seen; None where all are alike. rows: those that are trained on where all these are but the first of a stream.
    """

    count: int
    open: Callable[[int], PIL.Image.Image | NDArray[np.uint8]]
    name: Callable[[int], str]
    labels: Callable[[], Sequence[int | None]] | None
    classes: list[str]
    version: Callable[[], str]
    parts: Sequence[tuple[int, float]] | None = None
    rows: Rows | None = None


def rows_source(rows: Dataset, image: str, label: str | None, place: str | None = None) -> Source:
    """The source of a data set with a column of undecoded images and, where there are classes, one of labels; of local files at `place`."""

    def opened(index: int) -> PIL.Image.Image:
        return open_cell(rows[index][image])

    def name(index: int) -> str:
        return cell_name(rows[index][image], index)

    def version() -> str:
        return hash_parts(
            [
                rows._fingerprint,
                image,
                files_version([*(files_at(place) if place else ()), *files_in(rows, image)]),
            ]
        )

    labels, classes = labels_and_classes(rows, label) if label else (None, [])
    return Source(len(rows), opened, name, labels, classes, version)


def open_cell(image: dict[str, Any] | None) -> PIL.Image.Image:
    """The image in a cell of a column: bytes, or a path on this machine or elsewhere (`hf://`, `zip://`)."""
    if image is None or (image["bytes"] is None and image["path"] is None):
        raise ValueError("it is null")
    if image["bytes"] is None and "://" in image["path"]:
        with fsspec.open(image["path"], "rb") as file:
            return PIL.Image.open(BytesIO(file.read()))
    return PIL.Image.open(BytesIO(image["bytes"]) if image["bytes"] is not None else image["path"])


def cell_name(image: dict[str, Any] | None, index: int) -> str:
    """How messages call the image in a cell."""
    return (image or {}).get("path") or f"image {index}"


def stream_source(rows: IterableDataset, image: str, label: str | None) -> Source:
    """The source of the first rows of a stream, which says where the others are."""
    if label and not isinstance(rows.features[label], ClassLabel):
        raise ValueError(
            f"label_column must declare its classes with streaming=true, but {label!r} does not; null goes without labels"
        )
    table, split = (
        rows.select_columns([image, label] if label else [image]),
        (rows.info.splits or {}).get(str(rows.split)),
    )
    head = Dataset.from_list(list(table.take(HEAD)), features=table.features)
    return replace(
        rows_source(head, image, label),
        rows=Rows(table, image, label, split.num_examples if split else None),
    )


def labels_and_classes(
    rows: Dataset, label: str
) -> tuple[Callable[[], Sequence[int | None]], list[str]]:
    """A column of labels and its classes: those that it declares, else its distinct values."""
    if isinstance(rows.features[label], ClassLabel):
        return lambda: rows[label][:], rows.features[label].names
    values = [None if value is None else str(value) for value in rows[label][:]]
    classes = class_order(values)
    return lambda: class_numbers(values, classes), classes


def files_in(rows: Dataset, image: str) -> list[str]:
    """The files that cells name in place of bytes."""
    cells = rows.data.column(image)
    parts = dict(zip([part.name for part in cells.type], cells.flatten(), strict=True))
    found: list[str] = parts["path"].filter(parts["bytes"].is_null()).drop_null().to_pylist()
    return found
