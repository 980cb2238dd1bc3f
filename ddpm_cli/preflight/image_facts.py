"""What there is to know of a set of images before anything learns from it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ddpm_cli.data.decoding import Records
from ddpm_cli.data.image_arrays import ImageArray
from ddpm_cli.data.image_set import ImageSet
from ddpm_cli.preflight.duplicates import Places, exact_copies, near_copies
from ddpm_cli.shapes import Labels


@dataclass(frozen=True)
class ImageFacts:
    """Facts of the images that can be read, which are named by their places among these.

    sizes: (width, height) of the smallest, the median and the largest by area. enlarged: smaller than prepared. leaked: held out, with a
    near copy among the images of training; an exact one there cannot be.
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


def image_facts(images: ImageArray, records: Records, data: ImageSet, holdout: float) -> ImageFacts:
    """The report on a whole set: its images as they are kept, their records, and the set that is trained on."""
    out, pairs = np.zeros(len(records), dtype=bool), near_copies(images, records)
    held_out = data.parted(holdout)[1].places
    assert held_out is not None
    out[held_out.numpy()] = True
    mixed = pairs[out[pairs[:, 0]] != out[pairs[:, 1]]]
    leaked = out & np.isin(records["word"], records["word"][mixed])
    return ImageFacts(
        sizes=image_sizes(records),
        enlarged=np.flatnonzero(is_enlarged(records, data.images.shape)),
        modes=mode_counts(records),
        classes=per_class(data.labels, data.classes),
        unlabelled=0 if data.labels is None else int((data.labels < 0).sum()),
        plain=np.flatnonzero(records["plain"]),
        exact=exact_copies(records),
        near=pairs,
        held_out=np.flatnonzero(out),
        leaked=np.flatnonzero(leaked),
    )


def image_sizes(records: Records) -> list[tuple[int, int]]:
    """(width, height) of the smallest image, the median and the largest by area; none of no images."""
    order = np.argsort(records["width"].astype(np.int64) * records["height"], kind="stable")
    chosen = order[[0, len(order) // 2, -1]] if len(order) else order
    return [(width, height) for width, height in records[chosen][["width", "height"]].tolist()]


def is_enlarged(records: Records, shape: Sequence[int]) -> NDArray[np.bool_]:
    """Whether each image has fewer pixels, in a side, than it is prepared to."""
    return (records["width"] < shape[-1]) | (records["height"] < shape[-2])


def mode_counts(records: Records) -> dict[str, int]:
    """How many images have each of Pillow's modes, or are arrays of a type; the most first."""
    names, counts = np.unique(records["mode"], return_counts=True)
    found = {
        name.decode(): count for name, count in zip(names.tolist(), counts.tolist(), strict=True)
    }
    return dict(sorted(found.items(), key=lambda each: -each[1]))


def per_class(labels: Labels | None, classes: Sequence[str]) -> dict[str, int]:
    """How many images each class has; a label beyond the classes is called by its number."""
    found, counts = np.unique(
        [] if labels is None else labels[labels >= 0].numpy(), return_counts=True
    )
    known = dict(zip(found.tolist(), counts.tolist(), strict=True))
    beyond = {str(label): count for label, count in known.items() if label >= len(classes)}
    return {name: known.get(place, 0) for place, name in enumerate(classes)} | beyond
