"""Several sources as one source."""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ddpm_cli.data.sources.archives import archive, is_pattern
from ddpm_cli.data.sources.arrays import arrays
from ddpm_cli.data.sources.concatenation import concatenate
from ddpm_cli.data.sources.file_kinds import is_image_name
from ddpm_cli.data.sources.folders import folder
from ddpm_cli.data.sources.hub import hub
from ddpm_cli.data.sources.source import Source
from ddpm_cli.data_files.idx import is_idx
from ddpm_cli.data_files.labels import Pages, Rules, class_numbers, class_order
from ddpm_cli.data_files.walk import FolderWalk
from ddpm_cli.files import user_path

SAVED = ("state.json", "dataset_info.json", "dataset_dict.json")
TABLES = (".parquet", ".arrow")
ARCHIVES = re.compile(r"\.(zip|tar|tgz|tbz2?|txz|tar\.(gz|bz2|xz))$", re.IGNORECASE)


def several(
    *,
    paths: list[str],
    weights: list[float] | None = None,
    pages: Pages = "first",
    rules: Rules = 2,
) -> Source:
    """The images of several paths, one after the other; classes of one name are one class.

    weights: the shares of the paths in training, in any unit; null: every image counts alike.
    pages: the pages of a file in a folder or an archive that are images.
    rules: the version of the rules by which images and classes are read.
    """
    if not paths:
        raise ValueError("paths must name at least one source, but is []")
    if weights is not None and (
        len(weights) != len(paths) or not all(0 < weight < math.inf for weight in weights)
    ):
        rule = f"weights must be positive and finite, one for each of the {len(paths)} paths"
        raise ValueError(f"{rule}, but is {weights}")
    sources = [open_source(path, pages, rules) for path in paths]
    counts = [source.count for source in sources]
    parts = list(zip(counts, weights, strict=True)) if weights else None
    return replace(join_sources(sources, rules), parts=parts, pages=pages)


def join_sources(sources: Sequence[Source], rules: Rules = 2) -> Source:
    """The images of all sources, one after the other."""
    classes = class_order((name for source in sources for name in source.classes), rules)

    def labels() -> list[int | None]:
        return class_numbers([name for source in sources for name in label_names(source)], classes)

    return concatenate(sources, labels if classes else None, classes, rules)


def label_names(source: Source) -> list[str | None]:
    """The labels of a source as names of its classes."""
    if source.labels is None:
        return [None] * source.count
    labels, count = source.labels(), len(source.classes)
    if (highest := max((label for label in labels if label is not None), default=-1)) >= count:
        rule = f"labels must be less than {count}, the classes there are"
        raise ValueError(f"{rule}, but one is {highest}")
    return [None if label is None or label < 0 else source.classes[label] for label in labels]


def open_source(path: str, pages: Pages = "first", rules: Rules = 2) -> Source:
    """Open a path by its kind: a folder, NumPy or IDX files, archives, or else a data set."""
    location = user_path(path)
    if location.is_dir() and not is_dataset(location):
        return folder(path=path, pages=pages, rules=rules)
    if location.suffix.lower() in (".npy", ".npz") or is_idx(location):
        return arrays(path=path, rules=rules)
    if ARCHIVES.search(path) or is_pattern(path):
        return archive(path=path, pages=pages, rules=rules)
    return hub(name=path, rules=rules)


def is_dataset(folder: Path) -> bool:
    """Whether a folder holds a data set of `datasets`: a saved set, or tables and no images."""
    if any((folder / name).is_file() for name in SAVED):
        return True
    has_tables = False
    for name in FolderWalk(str(folder)).files():
        if is_image_name(name, 2):
            return False
        has_tables = has_tables or name.endswith(TABLES)
    return has_tables
