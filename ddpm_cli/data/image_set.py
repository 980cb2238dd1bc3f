"""A set of images ready to be trained on: bytes of one shape, labels, and which of them are held out."""

import hashlib
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from ddpm_cli.data.decoding import Decoded, Hashes, Records, content_hash
from ddpm_cli.data.image_arrays import CentreCrop, ImageArray, ImageSubset, select_images
from ddpm_cli.data.preparation import Preparation
from ddpm_cli.data.sources.source import Source
from ddpm_cli.data.storage import decode_source
from ddpm_cli.shapes import Bytes, Indices, Labels, Weights

BLOCK = 1024  # images at once where all are read
LISTED = 3  # names in a message
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageSet:
    """Images as bytes, their labels if they have any, the names of the classes; of some of a set, their places in it.

    records: what is known of each image. weights: how often each is seen, relative to the others; None for all alike.
    larger: the same images with a margin, from which windows are cut at random.
    """

    images: ImageArray
    labels: Labels | None
    classes: list[str]
    places: Indices | None = None
    records: Records | None = None
    weights: Weights | None = None
    larger: ImageArray | None = None

    @property
    def fingerprint(self) -> str:
        """A hash of the images and labels, the same wherever they lie."""
        labels = b"" if self.labels is None else self.labels.numpy().tobytes()
        content = repr(tuple(self.images.shape)).encode() + self.known_words.tobytes() + labels
        return f"2:{hashlib.blake2b(content, digest_size=16).hexdigest()}"

    def matches(self, fingerprint: str) -> bool:
        """Whether a fingerprint is of this set; those of older checkpoints are of all its bytes."""
        if fingerprint.startswith("2:"):
            return fingerprint == self.fingerprint
        digest = hashlib.blake2b(repr(torch.Size(self.images.shape)).encode(), digest_size=16)
        for some in self.blocks():
            digest.update(some.contiguous().numpy().data)
        digest.update(b"" if self.labels is None else self.labels.numpy().data)
        return fingerprint == digest.hexdigest()

    @property
    def known_words(self) -> Hashes:
        """64 bits that stand for each image, made of the images where no records came with them."""
        if self.records is not None:
            return self.records["word"].astype(np.uint64)
        return np.concatenate([content_hash(some) for some in self.blocks()])

    def all_images(self) -> Bytes:
        """All images in memory."""
        return select_images(self.images, torch.arange(len(self.images)))

    def blocks(self) -> Iterator[Bytes]:
        """All images, some at once."""
        return (
            select_images(self.images, some)
            for some in torch.split(torch.arange(len(self.images)), BLOCK)
        )

    def parted(self, holdout: float) -> tuple["ImageSet", "ImageSet"]:
        """(training, held out): which an image is follows from its bytes alone, so that copies stay together, in any order of any set."""
        out = torch.from_numpy(is_held_out(self.known_words, holdout))
        training, held_out = (self.chosen(kept.nonzero().flatten()) for kept in (~out, out))
        return training, held_out

    def chosen(self, indices: Indices) -> "ImageSet":
        """Some of the images of a whole set, which are not copied."""
        labels, weights = (
            each if each is None else each[indices] for each in (self.labels, self.weights)
        )
        records = None if self.records is None else self.records[indices.numpy()]
        larger = None if self.larger is None else ImageSubset(self.larger, indices)
        return ImageSet(
            ImageSubset(self.images, indices),
            labels,
            self.classes,
            indices,
            records,
            weights,
            larger,
        )


def is_held_out(words: Hashes, share: float) -> NDArray[np.bool_]:
    """Which images are kept out of training."""
    return words < np.uint64(math.ceil(share * 2**64))


def load_image_set(
    source: Source, preparation: Preparation, *, copies: int = 1, aloud: bool = True
) -> ImageSet:
    """The images of a source, as `copies` processes of this machine prepare them; ValueError names those that cannot be read."""
    found = decode_source(source, preparation, copies=copies, aloud=aloud)
    check_readable(found, source.count, preparation.on_error)
    return assemble_image_set(found, source, preparation)


def assemble_image_set(found: Decoded, source: Source, preparation: Preparation) -> ImageSet:
    """The images that can be read, and what their source says of these."""
    places = torch.from_numpy(found.records["place"].astype(np.int64))
    labels = (
        torch.tensor([-1 if label is None else label for label in source.labels()])[places]
        if source.labels
        else None
    )
    weights = (
        None
        if source.parts is None
        else torch.from_numpy(image_weights(source.parts, places.numpy()))
    )
    whole = ImageSet(found.images, labels, source.classes, records=found.records, weights=weights)
    if preparation.crop != "random":
        return whole
    return replace(
        whole, images=CentreCrop(found.images, *preparation.shape[1:]), larger=found.images
    )


def image_weights(
    parts: Sequence[tuple[int, float]], places: NDArray[np.int64]
) -> NDArray[np.float64]:
    """How often each of the images that can be read is seen, so that each part has its share."""
    counts, shares = np.array(parts).T
    part = np.searchsorted(np.cumsum(counts), places, side="right")
    return (shares / shares.max())[part] / np.bincount(part)[part]


def check_readable(found: Decoded, count: int, on_error: str) -> None:
    """Refuses images that cannot be read, or none that can; says how many are skipped."""
    told = [f"{name}: {why}" for name, why in found.unreadable]
    few = "; ".join([*told[:LISTED], *["..."] * (len(told) > LISTED)])
    if told and len(told) == count:
        raise ValueError(f"cannot read any of the {count:,} images: {few}")
    if told and on_error == "stop":
        many = f"{len(told):,} of {count:,} images: " if len(told) > 1 else ""
        raise ValueError(
            f"cannot read {many}{few} (data.on_error=skip goes without, ddpm-data lists all)"
        )
    if told:
        log.warning(
            "warning: %s of %s images cannot be read and are skipped: %s",
            f"{len(told):,}",
            f"{count:,}",
            few,
        )


def check_labels(data: ImageSet) -> None:
    """Refuses labels from which classes cannot be learned."""
    highest = -1 if data.labels is None else int(data.labels.max())
    if highest < 0:
        raise ValueError("model.conditional=true needs labels, but those of all images are null")
    if highest >= len(data.classes):
        raise ValueError(
            f"labels must be less than {len(data.classes)}, the classes there are, but one is {highest}"
        )
