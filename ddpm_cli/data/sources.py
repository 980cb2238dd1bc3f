"""Where images come from: what a source is, and those of rows: the packaged digits, and Hugging Face data sets."""

import glob
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import datasets
import fsspec  # type: ignore[import-untyped]
import numpy as np
import PIL.Image
from datasets import ClassLabel, Dataset, Image, IterableDataset, Value
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError
from numpy.typing import NDArray

from ddpm_cli.data.labels import numbered, ordered
from ddpm_cli.data.stamps import digest, files_at, stamp

LABELS = ("string", "large_string", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
HEAD = 1024  # rows of a stream that are kept in memory, to be shown and evaluated
Table: TypeAlias = Dataset | IterableDataset
Load: TypeAlias = Callable[..., Table]


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


def of_rows(rows: Dataset, image: str, label: str | None, place: str | None = None) -> Source:
    """The source of a data set with a column of undecoded images and, where there are classes, one of labels; of local files at `place`."""

    def opened(index: int) -> PIL.Image.Image:
        return undecoded(rows[index][image])

    def name(index: int) -> str:
        return named(rows[index][image], index)

    def version() -> str:
        return digest([rows._fingerprint, image, stamp([*(files_at(place) if place else ()), *files_in(rows, image)])])

    labels, classes = labelled(rows, label) if label else (None, [])
    return Source(len(rows), opened, name, labels, classes, version)


def undecoded(image: dict[str, Any] | None) -> PIL.Image.Image:
    """The image in a cell of a column: bytes, or a path on this machine or elsewhere (`hf://`, `zip://`)."""
    if image is None or (image["bytes"] is None and image["path"] is None):
        raise ValueError("it is null")
    if image["bytes"] is None and "://" in image["path"]:
        with fsspec.open(image["path"], "rb") as file:
            return PIL.Image.open(BytesIO(file.read()))
    return PIL.Image.open(BytesIO(image["bytes"]) if image["bytes"] is not None else image["path"])


def named(image: dict[str, Any] | None, index: int) -> str:
    """How messages call the image in a cell."""
    return (image or {}).get("path") or f"image {index}"


def of_stream(rows: IterableDataset, image: str, label: str | None) -> Source:
    """The source of the first rows of a stream, which says where the others are."""
    if label and not isinstance(rows.features[label], ClassLabel):
        raise ValueError(f"label_column must declare its classes with streaming=true, but {label!r} does not; null goes without labels")
    table, split = rows.select_columns([image, label] if label else [image]), (rows.info.splits or {}).get(str(rows.split))
    head = Dataset.from_list(list(table.take(HEAD)), features=table.features)
    return replace(of_rows(head, image, label), rows=Rows(table, image, label, split.num_examples if split else None))


def labelled(rows: Dataset, label: str) -> tuple[Callable[[], Sequence[int | None]], list[str]]:
    """A column of labels and its classes: those that it declares, else its distinct values."""
    if isinstance(rows.features[label], ClassLabel):
        return lambda: rows[label][:], rows.features[label].names
    values = [None if value is None else str(value) for value in rows[label][:]]
    classes = ordered(values)
    return lambda: numbered(values, classes), classes


def files_in(rows: Dataset, image: str) -> list[str]:
    """The files that cells name in place of bytes."""
    cells = rows.data.column(image)
    parts = dict(zip([part.name for part in cells.type], cells.flatten(), strict=True))
    found: list[str] = parts["path"].filter(parts["bytes"].is_null()).drop_null().to_pylist()
    return found


def digits() -> Source:
    """1,797 handwritten digits, 8x8 and grey, shipped with the package (Alpaydin & Kaynak 1998, UCI, CC BY 4.0)."""
    return hub(name=str(Path(__file__).with_name("digits.parquet")))


def hub(
    *, name: str, split: str = "train", image_column: str = "auto", label_column: str | None = "auto", streaming: bool = False
) -> Source:
    """A data set of the Hugging Face hub by its name, or a local one: a Parquet or Arrow file, or a folder of them.

    Columns are found by their types (`auto`; ClassLabel, or `cls` of a WebDataset) unless they are named; label_column null drops the
    labels. A gated or private data set needs a token, which is read from HF_TOKEN or what `hf auth login` has kept. streaming: rows are
    read as they are trained on, and nothing is kept on the disk.
    """
    if not name:
        raise ValueError("name must be a data set, a folder or a file, but is ''")
    path = Path(name).expanduser()
    load = partial(datasets.load_dataset, streaming=streaming, cache_dir=cache_at(path))
    kind = path.suffix.removeprefix(".").lower()
    if path.is_file() or kind in ("parquet", "arrow"):
        if kind not in ("parquet", "arrow") or not path.is_file():
            raise ValueError(f"name must be a data set, a folder, or a .parquet or .arrow file that is there, but is {name!r}")
        rows = local(kind, path, load)
    elif (path / "state.json").is_file():
        if streaming:
            raise ValueError(f"streaming=true does not go with {name!r}: a saved data set is read where it lies (cache=off keeps no copy)")
        rows = Dataset.load_from_disk(str(path))
    else:
        rows = downloaded(name, split, load)
    return with_columns(rows, image_column, label_column, str(path) if path.exists() else None)


def cache_at(path: Path) -> str | None:
    """Where `datasets` keeps what it makes of local files: elsewhere once they may have changed, for it goes by less. None for the hub."""
    return os.path.join(datasets.config.HF_DATASETS_CACHE, stamp(files_at(str(path)))) if path.exists() else None


def local(kind: str, path: Path, load: Load) -> Table:
    """A data set of a file on this machine."""
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # what goes wrong arrives as an exception
    try:
        return load(kind, split="train", data_files={"train": glob.escape(str(path))})
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise ValueError(f"cannot read {str(path)!r}: {error.__cause__ or error}") from error


def downloaded(name: str, split: str, load: Load) -> Table:
    """A data set of the hub, or of the cache of earlier downloads; without a network it fails at once."""
    reachable = Path(name).exists() or online()
    offline = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = not reachable or any(offline)
    try:
        return load(name, split=split)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        told = explained(error) if reachable else f"{constants.ENDPOINT} cannot be reached, and no earlier download is in the cache"
        raise ValueError(f"cannot load the data set {name!r}: {told}") from error
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = offline


def explained(error: Exception) -> str:
    """An error of the hub in one line, with what opens a data set that is locked; to strangers those look as if they were not there."""
    locked = isinstance(error, datasets.exceptions.DatasetNotFoundError)
    denied = isinstance(error, HfHubHTTPError) and error.response.status_code in (401, 403)
    remedy = "; if it is gated or private, set HF_TOKEN or run `hf auth login`" if locked or denied else ""
    return " ".join(str(error).split()) + remedy


def online() -> bool:
    """Whether the hub answers at all."""
    try:
        urllib.request.urlopen(urllib.request.Request(constants.ENDPOINT, method="HEAD"), timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def with_columns(rows: Table, image_column: str, label_column: str | None, place: str | None = None) -> Source:
    """Finds or checks the columns, and leaves the images undecoded."""
    declared = rows.features.get(image_column)
    if isinstance(declared, dict) or declared == Value("binary"):  # files that others wrote say less of their columns
        rows = rows.cast_column(image_column, Image())
    image = column(rows, image_column, "of kind Image", lambda feature: isinstance(feature, Image))
    if image is None:
        raise ValueError(f"image_column: no column of {rows.column_names} holds images; name one")
    label = None if label_column is None else label_of(rows, label_column)
    rows = rows.cast_column(image, Image(decode=False))
    return of_stream(rows, image, label) if isinstance(rows, IterableDataset) else of_rows(rows, image, label, place)


def label_of(rows: Table, name: str) -> str | None:
    """The column of labels called `name`; for `auto` the first that declares classes, else `cls` of a WebDataset."""
    if name != "auto":
        return column(rows, name, "of kind ClassLabel, whole numbers or text", plain)
    found = column(rows, name, "", lambda feature: isinstance(feature, ClassLabel))
    return found or ("cls" if {"cls", "__key__"} <= rows.features.keys() and plain(rows.features["cls"]) else None)


def plain(feature: object) -> bool:
    """Whether a feature may be labels."""
    return isinstance(feature, ClassLabel) or (isinstance(feature, Value) and feature.dtype in LABELS)


def column(rows: Table, name: str, told: str, kind: Callable[[object], bool]) -> str | None:
    """The column called `name`, or for `auto` the first of a kind of feature."""
    if name == "auto":
        return next((key for key, feature in rows.features.items() if kind(feature)), None)
    if name not in rows.features or not kind(rows.features[name]):
        columns = {key: type(feature).__name__ for key, feature in rows.features.items()}
        raise ValueError(f"no column {name!r} {told}; there are {columns}")
    return name
