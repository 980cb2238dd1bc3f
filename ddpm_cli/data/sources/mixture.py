"""Several sources as one."""

import math
import re
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ddpm_cli.data.sources.archives import archive
from ddpm_cli.data.sources.arrays import arrays
from ddpm_cli.data.sources.folders import folder
from ddpm_cli.data.sources.hub import hub
from ddpm_cli.data.sources.labels import class_numbers, class_order
from ddpm_cli.data.sources.shards import is_pattern
from ddpm_cli.data.sources.source import Source
from ddpm_cli.data.sources.versions import hash_parts

ARCHIVES = re.compile(r"\.(zip|tar|tgz|tbz2?|txz|tar\.(gz|bz2|xz))$", re.IGNORECASE)


def several(*, paths: list[str], weights: list[float] | None = None) -> Source:
    """The images of several paths, one after the other; classes of one name are one class.

    weights: the share of each path among the images that are seen, in any unit; null: every image is seen as often as any other.
    """
    if not paths:
        raise ValueError("paths must name at least one source, but is []")
    if weights is not None and (
        len(weights) != len(paths) or not all(0 < weight < math.inf for weight in weights)
    ):
        raise ValueError(
            f"weights must be positive and finite, one for each of the {len(paths)} paths, but is {weights}"
        )
    sources = [open_source(path) for path in paths]
    ends = list(accumulate(source.count for source in sources))
    classes = class_order(name for source in sources for name in source.classes)

    def found(index: int) -> tuple[Source, int]:
        part = bisect_right(ends, index)
        return sources[part], index - (ends[part] - sources[part].count)

    def image(index: int) -> Image.Image | NDArray[np.uint8]:
        source, place = found(index)
        return source.open(place)

    def name(index: int) -> str:
        source, place = found(index)
        return source.name(place)

    labels = (
        (lambda: class_numbers([label for source in sources for label in texts(source)], classes))
        if classes
        else None
    )
    parts = (
        [(source.count, weight) for source, weight in zip(sources, weights, strict=True)]
        if weights
        else None
    )
    return Source(
        ends[-1],
        image,
        name,
        labels,
        classes,
        lambda: hash_parts(source.version() for source in sources),
        parts,
    )


def texts(source: Source) -> list[str | None]:
    """The labels of a source by the names of their classes."""
    if source.labels is None:
        return [None] * source.count
    labels = source.labels()
    if (highest := max((label for label in labels if label is not None), default=-1)) >= len(
        source.classes
    ):
        raise ValueError(
            f"labels must be less than {len(source.classes)}, the classes there are, but one is {highest}"
        )
    return [None if label is None or label < 0 else source.classes[label] for label in labels]


def open_source(path: str) -> Source:
    """The source that a path looks like: a folder, NumPy or archive files, or else a data set of the hub or saved as those are."""
    place = Path(path).expanduser()
    saved = any((place / name).is_file() for name in ("state.json", "dataset_info.json"))
    if place.is_dir() and not saved:
        return folder(path=path)
    if place.suffix.lower() in (".npy", ".npz"):
        return arrays(path=path)
    return archive(path=path) if ARCHIVES.search(path) or is_pattern(path) else hub(name=path)
