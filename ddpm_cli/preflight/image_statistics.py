"""The statistics of a set of images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ddpm_cli.image_sets.decoding import Records
from ddpm_cli.image_sets.image_set import ImageSet
from ddpm_cli.images import ImageArray
from ddpm_cli.preflight.duplicates import Places, exact_copies, near_copies
from ddpm_cli.shapes import Labels


@dataclass(frozen=True)
class ImageStatistics:
    """Statistics of the readable images; its number in the source identifies each image.

    sizes: (width, height) of the smallest, the median and the largest image by area. enlarged:
    images smaller than the prepared size. leaked: held-out images with a copy or near copy among
    the training images; exact copies are on one side but in an official split.
    """

    sizes: list[tuple[int, int]]
    enlarged: Places
    modes: dict[str, int]
    classes: dict[str, int]
    unlabelled: int
    plain: Places
    exact: list[Places]
    near: Places
    held_out: Places
    leaked: Places


def image_statistics(
    images: ImageArray, records: Records, data: ImageSet, holdout: float
) -> ImageStatistics:
    """The statistics of a whole set, from stored images, their records, and the training set."""
    pairs, (height, width) = near_copies(images, records), data.images.shape[2:]
    held_out = data.split(holdout)[1].places
    assert held_out is not None
    out = np.zeros(len(records), dtype=bool)
    out[held_out.numpy()] = True
    mixed = pairs[out[pairs[:, 0]] != out[pairs[:, 1]]]
    words = records["word"]
    leaked = out & (np.isin(words, words[mixed]) | np.isin(words, words[~out]))
    return ImageStatistics(
        sizes=image_sizes(records),
        enlarged=np.flatnonzero((records["width"] < width) | (records["height"] < height)),
        modes=mode_counts(records),
        classes=class_counts(data.labels, data.classes),
        unlabelled=0 if data.labels is None else int((data.labels < 0).sum()),
        plain=np.flatnonzero(records["plain"]),
        exact=exact_copies(records),
        near=pairs,
        held_out=np.flatnonzero(out),
        leaked=np.flatnonzero(leaked),
    )


def image_sizes(records: Records) -> list[tuple[int, int]]:
    """(width, height) of the smallest, the median and the largest image by area, if any."""
    order = np.argsort(records["width"].astype(np.int64) * records["height"], kind="stable")
    places = order[[0, len(order) // 2, -1]] if len(order) else order
    return [(width, height) for width, height in records[places][["width", "height"]].tolist()]


def mode_counts(records: Records) -> dict[str, int]:
    """The number of images of each Pillow mode or array type, the most frequent first."""
    names, counts = np.unique(records["mode"], return_counts=True)
    modes = zip(names.tolist(), counts.tolist(), strict=True)
    return {name.decode(): count for name, count in sorted(modes, key=lambda mode: -mode[1])}


def class_counts(labels: Labels | None, classes: Sequence[str]) -> dict[str, int]:
    """The number of images of each class; a label without a class is named by its number."""
    known = np.empty(0) if labels is None else labels[labels >= 0].numpy()
    numbers, sizes = np.unique(known, return_counts=True)
    counts = dict(zip(numbers.tolist(), sizes.tolist(), strict=True))
    beyond = {str(label): count for label, count in counts.items() if label >= len(classes)}
    return {name: counts.get(place, 0) for place, name in enumerate(classes)} | beyond
