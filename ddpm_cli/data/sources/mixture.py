"""Several sources as one source."""

import math
import re
from bisect import bisect_right
from itertools import accumulate
from typing import Any

from numpy.typing import NDArray
from PIL import Image

from ddpm_cli.data.sources.archives import archive, is_pattern
from ddpm_cli.data.sources.arrays import arrays
from ddpm_cli.data.sources.folders import folder
from ddpm_cli.data.sources.hub import hub
from ddpm_cli.data.sources.labels import class_numbers, class_order
from ddpm_cli.data.sources.source import Rules, Source, hash_parts
from ddpm_cli.files import user_path

ARCHIVES = re.compile(r"\.(zip|tar|tgz|tbz2?|txz|tar\.(gz|bz2|xz))$", re.IGNORECASE)


def several(*, paths: list[str], weights: list[float] | None = None, rules: Rules = 2) -> Source:
    """The images of several paths, one after the other; classes of one name are one class.

    weights: the shares of the paths in training, in any unit; null: every image counts alike.
    rules: the version of the rules by which images and classes are read.
    """
    if not paths:
        raise ValueError("paths must name at least one source, but is []")
    if weights is not None and (
        len(weights) != len(paths) or not all(0 < weight < math.inf for weight in weights)
    ):
        rule = f"weights must be positive and finite, one for each of the {len(paths)} paths"
        raise ValueError(f"{rule}, but is {weights}")
    sources = [open_source(path, rules) for path in paths]
    ends = list(accumulate(source.count for source in sources))
    classes = class_order(name for source in sources for name in source.classes)

    def locate_image(index: int) -> tuple[Source, int]:
        part = bisect_right(ends, index)
        return sources[part], index - (ends[part] - sources[part].count)

    def open_image(index: int) -> Image.Image | NDArray[Any]:
        source, place = locate_image(index)
        return source.open(place)

    def image_name(index: int) -> str:
        source, place = locate_image(index)
        return source.name(place)

    def labels() -> list[int | None]:
        return class_numbers([name for source in sources for name in label_names(source)], classes)

    return Source(
        ends[-1],
        open_image,
        image_name,
        labels if classes else None,
        classes,
        lambda: hash_parts(source.version() for source in sources),
        list(zip([source.count for source in sources], weights, strict=True)) if weights else None,
        rules=rules,
    )


def label_names(source: Source) -> list[str | None]:
    """The labels of a source as names of its classes."""
    if source.labels is None:
        return [None] * source.count
    labels, count = source.labels(), len(source.classes)
    if (highest := max((label for label in labels if label is not None), default=-1)) >= count:
        rule = f"labels must be less than {count}, the classes there are"
        raise ValueError(f"{rule}, but one is {highest}")
    return [None if label is None or label < 0 else source.classes[label] for label in labels]


def open_source(path: str, rules: Rules = 2) -> Source:
    """Open a path by its kind: a folder, NumPy files, archives, or else a data set."""
    location = user_path(path)
    is_dataset = any((location / name).is_file() for name in ("state.json", "dataset_info.json"))
    if location.is_dir() and not is_dataset:
        return folder(path=path, rules=rules)
    if location.suffix.lower() in (".npy", ".npz"):
        return arrays(path=path, rules=rules)
    if ARCHIVES.search(path) or is_pattern(path):
        return archive(path=path, rules=rules)
    return hub(name=path, rules=rules)
