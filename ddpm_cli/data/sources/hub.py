"""Data sets of the Hugging Face hub, and local files in the same formats."""

import glob
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

import datasets
from datasets import ClassLabel, Dataset, Image, IterableDataset, Value
from huggingface_hub import constants

from ddpm_cli.data.sources.cells import CellFiles
from ddpm_cli.data.sources.concatenation import open_splits
from ddpm_cli.data.sources.source import (
    Source,
    Table,
    files_at,
    files_version,
    rows_source,
    stream_source,
)
from ddpm_cli.data_files.labels import Rules
from ddpm_cli.files import user_path
from ddpm_cli.hub.connection import TOKEN, hub_failure, is_usable, offline_text

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
LABELS = ("string", "large_string", *INTEGERS)
Load: TypeAlias = Callable[..., Table]
datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False  # would tell a server of each load, even of files


def digits() -> Source:
    """1,797 grey 8x8 handwritten digits of the package (Alpaydin & Kaynak 1998, UCI, CC BY 4.0)."""
    return hub(name=str(Path(__file__).with_name("digits.parquet")))


def hub(
    *,
    name: str,
    split: str = "train",
    held_out_split: str | None = None,
    image_column: str = "auto",
    label_column: str | None = "auto",
    streaming: bool = False,
    rules: Rules = 2,
) -> Source:
    """A data set of the Hugging Face hub by its name, or a local Parquet or Arrow file or folder.

    Columns are found by their types (`auto`; ClassLabel, or `cls` of a WebDataset) unless they are
    named; label_column null drops the labels. A gated or private data set needs a token, from
    HF_TOKEN or `hf auth login`. held_out_split: another split, whose images are held out of
    training. streaming: training reads the rows and keeps nothing on the disk.
    Cells hold images, or name files of the data set.
    rules: the version of the rules by which images and classes are read.
    """
    if not name:
        raise ValueError("name must be a data set, a folder or a file, but is ''")

    def read(part: str) -> Source:
        rows, files, local_path = open_table(name, part, streaming, has_splits=bool(held_out_split))
        return table_source(rows, image_column, label_column, files, local_path, rules)

    return open_splits(read, split, held_out_split)


def open_table(
    name: str, split: str, streaming: bool, *, has_splits: bool
) -> tuple[Table, CellFiles, str | None]:
    """Open a split of a data set; return the files of its cells too, and its path if it is local.

    has_splits: whether it must have several splits.
    """
    path, root = user_path(name), datasets.config.HF_DATASETS_CACHE
    local_path = str(path) if path.exists() else None
    kind = path.suffix.removeprefix(".").lower()
    # The cache of `datasets` itself does not notice every change of a local file.
    saved = path / split if (path / "dataset_dict.json").is_file() else path
    cache_dir = local_path and os.path.join(root, files_version(files_at(local_path)))
    load = partial(datasets.load_dataset, streaming=streaming, cache_dir=cache_dir)
    if path.is_file() or kind in ("parquet", "arrow"):
        if kind not in ("parquet", "arrow") or not path.is_file():
            kinds = "a data set, a folder, or a .parquet or .arrow file that is there"
            raise ValueError(f"name must be {kinds}, but is {name!r}")
        check_splits(name, not has_splits)
        rows, files = load_local(kind, path, load), CellFiles(str(path.parent))
    elif (saved / "state.json").is_file():
        if streaming:
            reason = "a saved data set is read where it lies (cache=off keeps no copy)"
            raise ValueError(f"streaming=true does not go with {name!r}: {reason}")
        check_splits(name, not has_splits or saved != path)
        rows, files = Dataset.load_from_disk(str(saved)), CellFiles(str(path))
    else:
        rows = load_from_hub(name, split, load)
        files = loaded_files(name, rows, local_path, cache_dir)
    return rows, files, local_path


def check_splits(name: str, suffices: bool) -> None:
    """Refuse a held-out split of a data set without splits."""
    if not suffices:
        raise ValueError(f"held_out_split must be null, because {name!r} has no splits")


def loaded_files(name: str, rows: Table, local: str | None, cache_dir: str | None) -> CellFiles:
    """The files that cells of a data set may name, and the folders that `datasets` lists."""
    if rows.info.builder_name != "imagefolder":
        return CellFiles(local, None if local else name)
    downloads = str(datasets.config.DOWNLOADED_DATASETS_PATH)
    if local:
        return CellFiles(local, None, (local, cache_dir or downloads, downloads))
    repository = os.path.join(constants.HF_HUB_CACHE, f"datasets--{name.replace('/', '--')}")
    return CellFiles(None, name, (repository, downloads))


def load_local(kind: str, path: Path, load: Load) -> Table:
    """Load a data set from a file on this machine."""
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # errors arrive as exceptions
    try:
        return load(kind, split="train", data_files={"train": glob.escape(str(path))})
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise ValueError(f"cannot read {str(path)!r}: {error.__cause__ or error}") from error


def load_from_hub(name: str, split: str, load: Load) -> Table:
    """Load a data set of the hub, or its earlier download; fail at once without a network."""
    offline = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    usable = Path(name).exists() or (not any(offline) and is_usable())
    absence = f"{offline_reason()}, and no earlier download is in the cache"
    constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = not usable or any(offline)
    try:
        return load(name, split=split)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        reason = load_failure(error) if usable else absence
        raise ValueError(f"cannot load the data set {name!r}: {reason}") from error
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = offline


def offline_reason() -> str:
    """The reason why no data set of the hub is asked for; `datasets` has a variable of its own."""
    only_datasets = datasets.config.HF_HUB_OFFLINE and not constants.HF_HUB_OFFLINE
    return "HF_DATASETS_OFFLINE forbids it" if only_datasets else offline_text()


def load_failure(error: Exception) -> str:
    """An error of the hub in one line, with the remedy for a data set that needs a token.

    `datasets` tells of a missing data set without the hub's status.
    """
    missing = isinstance(error, datasets.exceptions.DatasetNotFoundError)
    return hub_failure(error) + (f"; if it is gated or private, {TOKEN}" if missing else "")


def table_source(
    rows: Table,
    image_column: str,
    label_column: str | None,
    files: CellFiles,
    local_path: str | None,
    rules: Rules,
) -> Source:
    """The source of a table; its columns are found or checked, its images stay undecoded.

    For label_column `auto`, labels are the first column that declares classes, else `cls` of a
    WebDataset.
    """
    declared = rows.features.get(image_column)
    # Files of other writers may not declare a column of images.
    if isinstance(declared, dict) or declared == Value("binary"):
        rows = rows.cast_column(image_column, Image())
    image = find_column(rows, image_column, "of kind Image", lambda each: isinstance(each, Image))
    if image is None:
        raise ValueError(f"image_column: no column of {rows.column_names} holds images; name one")
    label = label_column
    if label_column == "auto":
        label = find_column(rows, "auto", "", lambda each: isinstance(each, ClassLabel))
        webdataset = {"cls", "__key__"} <= rows.features.keys()
        if label is None and webdataset and is_label_feature(rows.features["cls"]):
            label = "cls"
    elif label_column is not None:
        kinds = "of kind ClassLabel, whole numbers or text"
        label = find_column(rows, label_column, kinds, is_label_feature)
    rows = rows.cast_column(image, Image(decode=False))
    if isinstance(rows, IterableDataset):
        return stream_source(rows, image, label, files, rules)
    return rows_source(rows, image, label, files, local_path, rules)


def is_label_feature(feature: object) -> bool:
    """Whether a feature may hold labels."""
    return isinstance(feature, ClassLabel) or (
        isinstance(feature, Value) and feature.dtype in LABELS
    )


def find_column(rows: Table, name: str, kinds: str, fits: Callable[[object], bool]) -> str | None:
    """Find the column called `name`, or for `auto` the first column whose feature fits."""
    if name == "auto":
        return next((key for key, feature in rows.features.items() if fits(feature)), None)
    if name not in rows.features or not fits(rows.features[name]):
        columns = {key: type(feature).__name__ for key, feature in rows.features.items()}
        raise ValueError(f"no column {name!r} {kinds}; there are {columns}")
    return name
