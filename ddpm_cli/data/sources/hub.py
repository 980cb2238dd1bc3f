"""Hugging Face data sets: of the hub, or local files of the same forms."""

import glob
import os
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

import datasets
from datasets import Dataset
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError

from ddpm_cli.data.sources.columns import table_source
from ddpm_cli.data.sources.source import Source, Table
from ddpm_cli.data.sources.versions import files_at, files_version

Load: TypeAlias = Callable[..., Table]


def hub(
    *,
    name: str,
    split: str = "train",
    image_column: str = "auto",
    label_column: str | None = "auto",
    streaming: bool = False,
) -> Source:
    """A data set of the Hugging Face hub by its name, or a local one: a Parquet or Arrow file, or a folder of them.

    Columns are found by their types (`auto`; ClassLabel, or `cls` of a WebDataset) unless they are named; label_column null drops the
    labels. A gated or private data set needs a token, which is read from HF_TOKEN or what `hf auth login` has kept. streaming: rows are
    read as they are trained on, and nothing is kept on the disk.
    """
    if not name:
        raise ValueError("name must be a data set, a folder or a file, but is ''")
    path = Path(name).expanduser()
    load = partial(datasets.load_dataset, streaming=streaming, cache_dir=cache_folder(path))
    kind = path.suffix.removeprefix(".").lower()
    if path.is_file() or kind in ("parquet", "arrow"):
        if kind not in ("parquet", "arrow") or not path.is_file():
            raise ValueError(
                f"name must be a data set, a folder, or a .parquet or .arrow file that is there, but is {name!r}"
            )
        rows = load_local(kind, path, load)
    elif (path / "state.json").is_file():
        if streaming:
            raise ValueError(
                f"streaming=true does not go with {name!r}: a saved data set is read where it lies (cache=off keeps no copy)"
            )
        rows = Dataset.load_from_disk(str(path))
    else:
        rows = load_from_hub(name, split, load)
    return table_source(rows, image_column, label_column, str(path) if path.exists() else None)


def cache_folder(path: Path) -> str | None:
    """Where `datasets` keeps what it makes of local files: elsewhere once they may have changed, for it goes by less. None for the hub."""
    return (
        os.path.join(datasets.config.HF_DATASETS_CACHE, files_version(files_at(str(path))))
        if path.exists()
        else None
    )


def load_local(kind: str, path: Path, load: Load) -> Table:
    """A data set of a file on this machine."""
    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(
        datasets.logging.CRITICAL
    )  # what goes wrong arrives as an exception
    try:
        return load(kind, split="train", data_files={"train": glob.escape(str(path))})
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise ValueError(f"cannot read {str(path)!r}: {error.__cause__ or error}") from error


def load_from_hub(name: str, split: str, load: Load) -> Table:
    """A data set of the hub, or of the cache of earlier downloads; without a network it fails at once."""
    reachable = Path(name).exists() or is_online()
    offline = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = not reachable or any(offline)
    try:
        return load(name, split=split)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        told = (
            hub_error_text(error)
            if reachable
            else f"{constants.ENDPOINT} cannot be reached, and no earlier download is in the cache"
        )
        raise ValueError(f"cannot load the data set {name!r}: {told}") from error
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = offline


def hub_error_text(error: Exception) -> str:
    """An error of the hub in one line, with what opens a data set that is locked; to strangers those look as if they were not there."""
    locked = isinstance(error, datasets.exceptions.DatasetNotFoundError)
    denied = isinstance(error, HfHubHTTPError) and error.response.status_code in (401, 403)
    remedy = (
        "; if it is gated or private, set HF_TOKEN or run `hf auth login`"
        if locked or denied
        else ""
    )
    return " ".join(str(error).split()) + remedy


def is_online() -> bool:
    """Whether the hub answers at all."""
    try:
        urllib.request.urlopen(
            urllib.request.Request(constants.ENDPOINT, method="HEAD"), timeout=5
        ).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True
