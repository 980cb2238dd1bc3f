"""A source of images, its version, and sources made from the rows of a table."""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import PIL.Image
from datasets import ClassLabel, Dataset, IterableDataset
from numpy.typing import NDArray

from ddpm_cli.data.sources.cells import CellFiles, cell_name
from ddpm_cli.data_files.labels import Pages, Remarks, Rules, number_classes
from ddpm_cli.text import encodable_text

CACHE_ENTRY = re.compile(r"/[0-9a-f]{32}(/|\.lock$|\.partial(/|$))")
HEAD = 1024  # rows of a stream in memory, for pictures and validation
Table: TypeAlias = Dataset | IterableDataset


@dataclass(frozen=True)
class StreamedTable:
    """A streamed data set: its columns of undecoded images and of labels, and its size if known.

    files: the files that its cells may name. rules: the version of the rules by which its images
    are read.
    """

    table: IterableDataset
    image: str
    label: str | None
    count: int | None
    files: CellFiles
    rules: Rules = 2


@dataclass(frozen=True)
class HeldOutSplit:
    """An official split that is held out: its name, and the place of its first image.

    Its images are the last ones of their source.
    """

    name: str
    first: int


@dataclass(frozen=True)
class Source:
    """Images by their number, opened on demand, with their names in messages.

    open: opens an image, as an array [H, W] or [H, W, C] if no mode of Pillow is like it. labels:
    None without classes. version: a text that changes if an image or the order may have changed.
    parts: the number of images of each of several sources, in order, and the source's share of the
    training images; None if all images count alike. rows: the stream to train on, whose first rows
    this source holds. rules: the version of the rules by which its images are read. pages:
    the pages of a file that are images. held_out_split: the official split whose images are held
    out of training; None: images are held out by their content. remarks: labels and texts for the
    screen, such as what is left out.

    Names of images and classes are texts that UTF-8 can write; other bytes are escapes.
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
    pages: Pages = "first"
    held_out_split: HeldOutSplit | None = None
    remarks: Remarks = field(default_factory=list)

    def __post_init__(self) -> None:
        name = self.name
        # the class is frozen
        object.__setattr__(self, "classes", list(map(encodable_text, self.classes)))
        object.__setattr__(self, "name", lambda index: encodable_text(name(index)))


def rows_source(
    rows: Dataset,
    image: str,
    label: str | None,
    files: CellFiles,
    local: str | None = None,
    rules: Rules = 2,
) -> Source:
    """The source of a data set with a column of undecoded images and perhaps a column of labels.

    The column declares the classes, or its distinct values are the classes. files: the files that
    cells may name. local: the path of the data set. No other column is decoded, because its cells
    may name any file.
    """
    images = rows.select_columns([image])

    def version() -> str:
        cells = rows.data.column(image)
        parts = dict(zip([part.name for part in cells.type], cells.flatten(), strict=True))
        paths = parts["path"].filter(parts["bytes"].is_null()).drop_null().to_pylist()
        local_paths = [path for path in map(files.local_path, paths) if path]
        stamps = files_version([*(files_at(local) if local else ()), *local_paths])
        return hash_parts([rows._fingerprint, image, stamps])

    labels: Callable[[], Sequence[int | None]] | None = None
    classes: list[str] = []
    if label and isinstance(rows.features[label], ClassLabel):
        labels, classes = lambda: rows[label][:], rows.features[label].names
    elif label:
        values = [None if value is None else str(value) for value in rows[label][:]]
        labels, classes = number_classes(values, rules)
    return Source(
        len(rows),
        lambda index: files.open(images[index][image]),
        lambda index: cell_name(images[index][image], index),
        labels,
        classes,
        version,
        rules=rules,
    )


def stream_source(
    rows: IterableDataset, image: str, label: str | None, files: CellFiles, rules: Rules = 2
) -> Source:
    """The source of the first rows of a stream, with a reference to the other rows."""
    if label and not isinstance(rows.features[label], ClassLabel):
        raise ValueError(
            "label_column must declare its classes with streaming=true, "
            f"but {label!r} does not; null goes without labels"
        )
    table = rows.select_columns([image, label] if label else [image])
    split = (rows.info.splits or {}).get(str(rows.split))
    head = Dataset.from_list(list(table.take(HEAD)), features=table.features)
    count = split.num_examples if split else None
    stream = StreamedTable(table, image, label, count, files, rules)
    return replace(rows_source(head, image, label, files, rules=rules), rows=stream)


def hash_parts(parts: Iterable[object]) -> str:
    """A hash of the parts' representations."""
    text = "".join(f"{part!r}\n" for part in parts)
    return hashlib.blake2b(encodable_text(text).encode(), digest_size=16).hexdigest()


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
