"""A source of images, its version, and sources made from the rows of a table."""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from typing import Any, Literal, TypeAlias

import fsspec
import PIL.Image
from datasets import ClassLabel, Dataset, IterableDataset
from numpy.typing import NDArray

from ddpm_cli.data.sources.labels import class_numbers, class_order
from ddpm_cli.images import open_image

CACHE_ENTRY = re.compile(r"/[0-9a-f]{32}(/|\.lock$|\.partial(/|$))")
HEAD = 1024  # rows of a stream in memory, for pictures and validation
Table: TypeAlias = Dataset | IterableDataset
Rules: TypeAlias = Literal[1, 2]  # versions of the rules by which images are read


@dataclass(frozen=True)
class StreamedTable:
    """A streamed data set: its columns of undecoded images and of labels, and its size if known.

    rules: the version of the rules by which its images are read.
    """

    table: IterableDataset
    image: str
    label: str | None
    count: int | None
    rules: Rules = 2


@dataclass(frozen=True)
class Source:
    """Images by their number, opened on demand, with their names in messages.

    open: opens an image, as an array [H, W] or [H, W, C] if no mode of Pillow is like it. labels:
    None without classes. version: a text that changes if an image or the order may have changed.
    parts: the number of images of each of several sources, in order, and the source's share of the
    training images; None if all images count alike. rows: the stream to train on, whose first rows
    this source holds. rules: the version of the rules by which its images are read.
    """

    count: int
    open: Callable[[int], PIL.Image.Image | NDArray[Any]]
    name: Callable[[int], str]
    labels: Callable[[], Sequence[int | None]] | None
    classes: list[str]
    version: Callable[[], str]
    parts: Sequence[tuple[int, float]] | None = None
    rows: StreamedTable | None = None
    rules: Rules = 2


def rows_source(rows: Dataset, image: str, label: str | None, local: str | None = None) -> Source:
    """The source of a data set with a column of undecoded images and perhaps a column of labels.

    The column declares the classes, or its distinct values are the classes. local: path of files.
    """

    def version() -> str:
        cells = rows.data.column(image)
        parts = dict(zip([part.name for part in cells.type], cells.flatten(), strict=True))
        paths = parts["path"].filter(parts["bytes"].is_null()).drop_null().to_pylist()
        files = files_version([*(files_at(local) if local else ()), *paths])
        return hash_parts([rows._fingerprint, image, files])

    labels: Callable[[], Sequence[int | None]] | None = None
    classes: list[str] = []
    if label and isinstance(rows.features[label], ClassLabel):
        labels, classes = lambda: rows[label][:], rows.features[label].names
    elif label:
        values = [None if value is None else str(value) for value in rows[label][:]]
        classes = class_order(values)
        labels = partial(class_numbers, values, classes)
    return Source(
        len(rows),
        lambda index: open_cell(rows[index][image]),
        lambda index: cell_name(rows[index][image], index),
        labels,
        classes,
        version,
    )


def open_cell(image: dict[str, Any] | None) -> PIL.Image.Image:
    """Open the image in a cell: bytes, or a path here or elsewhere (`hf://`, `zip://`)."""
    if image is None or (image["bytes"] is None and image["path"] is None):
        raise ValueError("it is null")
    if image["bytes"] is None and "://" in image["path"]:
        with fsspec.open(image["path"], "rb") as file:
            return open_image(BytesIO(file.read()))
    return open_image(BytesIO(image["bytes"]) if image["bytes"] is not None else image["path"])


def cell_name(image: dict[str, Any] | None, index: int) -> str:
    """The name of the image in a cell, for messages."""
    return (image or {}).get("path") or f"image {index}"


def stream_source(rows: IterableDataset, image: str, label: str | None) -> Source:
    """The source of the first rows of a stream, with a reference to the other rows."""
    if label and not isinstance(rows.features[label], ClassLabel):
        raise ValueError(
            "label_column must declare its classes with streaming=true, "
            f"but {label!r} does not; null goes without labels"
        )
    table = rows.select_columns([image, label] if label else [image])
    split = (rows.info.splits or {}).get(str(rows.split))
    head = Dataset.from_list(list(table.take(HEAD)), features=table.features)
    stream = StreamedTable(table, image, label, split.num_examples if split else None)
    return replace(rows_source(head, image, label), rows=stream)


def hash_parts(parts: Iterable[object]) -> str:
    """A hash of the parts' representations."""
    text = "".join(f"{part!r}\n" for part in parts)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def files_version(names: Iterable[str], root: str = "") -> str:
    """A hash of the names, sizes and times of files below `root`, which changes if a file does."""
    digest = hashlib.blake2b(digest_size=16)
    for name in names:
        try:
            status = os.stat(os.path.join(root, name))
            stamps: tuple[int, ...] = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        except OSError:
            stamps = ()
        digest.update(f"{(name, stamps)!r}\n".encode())
    return digest.hexdigest()


def files_at(path: str) -> list[str]:
    """A file, or all files of a folder except entries of a cache of prepared images."""
    below = [os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names]
    return sorted(each for each in below if not CACHE_ENTRY.search(each)) or [path]
