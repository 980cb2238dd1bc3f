"""Where images come from: functions that return a source, of a folder, the packaged digits, or a Hugging Face data set."""

import glob
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import datasets
import PIL.Image
from datasets import ClassLabel, Dataset, Image, Value
from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder
from huggingface_hub import constants


@dataclass(frozen=True)
class Source:
    """Images by their number, opened when they are wanted, and how messages call them; labels, None where there are no classes."""

    count: int
    open: Callable[[int], PIL.Image.Image]
    name: Callable[[int], str]
    labels: Callable[[], Sequence[int | None]] | None
    classes: list[str]


def of_rows(rows: Dataset, image: str, label: str | None) -> Source:
    """The source of a data set with a column of undecoded images and, where there are classes, one of labels."""

    def opened(index: int) -> PIL.Image.Image:
        row = rows[index][image]
        if row is None:
            raise ValueError("it is null")
        return PIL.Image.open(BytesIO(row["bytes"]) if row["bytes"] is not None else row["path"])

    def name(index: int) -> str:
        return (rows[index][image] or {}).get("path") or f"image {index}"

    names = rows.features[label].names if label else []
    return Source(len(rows), opened, name, (lambda: rows[label][:]) if label else None, names)


def digits() -> Source:
    """1,797 handwritten digits, 8x8 and grey, shipped with the package (Alpaydin & Kaynak 1998, UCI, CC BY 4.0)."""
    return with_columns(local("parquet", Path(__file__).with_name("digits.parquet")), "auto", "auto")


def folder(*, path: str) -> Source:
    """All images in a folder and the folders in it, whose names are the classes where there are several."""
    root = Path(path).expanduser()
    if not path or not root.is_dir():
        raise ValueError(f"path must be a folder, but there is none at {path!r}")
    if not any(file.suffix.lower() in ImageFolder.EXTENSIONS for file in root.rglob("*")):
        raise ValueError(f"path must hold images (.jpg, .png, ...), in it or in folders below, but {path!r} holds none")
    return with_columns(local("imagefolder", root), "auto", "auto")


def hub(*, name: str, split: str = "train", image_column: str = "auto", label_column: str | None = "auto") -> Source:
    """A data set of the Hugging Face hub by its name, or a local one: a Parquet or Arrow file, or a folder of them.

    Columns are found by their types (`auto`) unless they are named; label_column null drops the labels.
    """
    if not name:
        raise ValueError("name must be a data set, a folder or a file, but is ''")
    path = Path(name).expanduser()
    kind = path.suffix.removeprefix(".").lower()
    if path.is_file() or kind in ("parquet", "arrow"):
        if kind not in ("parquet", "arrow") or not path.is_file():
            raise ValueError(f"name must be a data set, a folder, or a .parquet or .arrow file that is there, but is {name!r}")
        rows = local(kind, path)
    elif (path / "state.json").is_file():
        rows = Dataset.load_from_disk(str(path))
    else:
        rows = downloaded(name, split)
    return with_columns(rows, image_column, label_column)


def local(kind: str, path: Path) -> Dataset:
    """A data set of files on this machine. All of it is one split, whatever the files are called."""
    literal = glob.escape(str(path))
    inside = {"data_dir": literal, "data_files": {"train": "**"}, "drop_metadata": True}
    place = inside if path.is_dir() else {"data_files": {"train": literal}}
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # what goes wrong arrives as an exception
    try:
        return datasets.load_dataset(kind, split="train", **place)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise ValueError(f"cannot read {str(path)!r}: {error.__cause__ or error}") from error


def downloaded(name: str, split: str) -> Dataset:
    """A data set of the hub, or of the cache of earlier downloads; without a network it fails at once."""
    reachable = Path(name).exists() or online()
    offline = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = not reachable or any(offline)
    try:
        return datasets.load_dataset(name, split=split)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        told = error if reachable else f"{constants.ENDPOINT} cannot be reached, and no earlier download is in the cache"
        raise ValueError(f"cannot load the data set {name!r}: {told}") from error
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = offline


def online() -> bool:
    """Whether the hub answers at all."""
    try:
        urllib.request.urlopen(urllib.request.Request(constants.ENDPOINT, method="HEAD"), timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def with_columns(rows: Dataset, image_column: str, label_column: str | None) -> Source:
    """Finds or checks the columns, and leaves the images undecoded."""
    named = rows.features.get(image_column)
    if isinstance(named, dict) or named == Value("binary"):  # files that others wrote say less of their columns
        rows = rows.cast_column(image_column, Image())
    image = column(rows, image_column, Image)
    if image is None:
        raise ValueError(f"image_column: no column of {rows.column_names} holds images; name one")
    label = None if label_column is None else column(rows, label_column, ClassLabel)
    return of_rows(rows.cast_column(image, Image(decode=False)), image, label)


def column(rows: Dataset, name: str, kind: type) -> str | None:
    """The column called `name`, or for `auto` the first of a kind of feature."""
    if name == "auto":
        return next((key for key, feature in rows.features.items() if isinstance(feature, kind)), None)
    if not isinstance(rows.features.get(name), kind):
        columns = {key: type(feature).__name__ for key, feature in rows.features.items()}
        raise ValueError(f"no column {name!r} of kind {kind.__name__}; there are {columns}")
    return name
