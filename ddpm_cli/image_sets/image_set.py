"""A set of images ready for training: bytes of one shape, labels, and the held-out images."""

import hashlib
import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from ddpm_cli.console import fact
from ddpm_cli.data.preparation import Preparation
from ddpm_cli.data.sources.source import HeldOutSplit, Source
from ddpm_cli.image_sets.decoding import Decoded, Hashes, Records, content_hash
from ddpm_cli.image_sets.storage import decode_source
from ddpm_cli.image_sets.value_ranges import set_ranges
from ddpm_cli.images import CentreCrop, ImageArray, ImageSubset, select_images
from ddpm_cli.shapes import Bytes, Indices, Labels, Weights

BLOCK = 1024  # images at once when all images are read
LISTED = 3  # the most names in a message
PAGES_REMEDY = "data=folder, archive and several read them with data.pages=all"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageSet:
    """Images as bytes, their labels if there are any, and the names of the classes.

    places: places of a subset's images in the whole set. records: size, mode and hashes of
    each image. weights: the relative frequency of each image in training; None if all images count
    alike. held_out_split: the official split among the images, or the one that all images are of.
    larger: the same images with a margin, from which training cuts random crops.
    """

    images: ImageArray
    labels: Labels | None
    classes: list[str]
    places: Indices | None = None
    records: Records | None = None
    weights: Weights | None = None
    held_out_split: HeldOutSplit | None = None
    larger: ImageArray | None = None

    @property
    def fingerprint(self) -> str:
        """A hash of the images and labels, independent of where the images are stored."""
        labels = b"" if self.labels is None else self.labels.numpy().tobytes()
        content = repr(tuple(self.images.shape)).encode() + self.content_hashes.tobytes() + labels
        return f"2:{hashlib.blake2b(content, digest_size=16).hexdigest()}"

    def matches(self, fingerprint: str) -> bool:
        """Whether a fingerprint belongs to this set; older checkpoints hold a hash of all bytes."""
        if fingerprint.startswith("2:"):
            return fingerprint == self.fingerprint
        digest = hashlib.blake2b(repr(torch.Size(self.images.shape)).encode(), digest_size=16)
        for block in self.blocks():
            digest.update(block.contiguous().numpy().data)
        digest.update(b"" if self.labels is None else self.labels.numpy().data)
        return fingerprint == digest.hexdigest()

    @property
    def content_hashes(self) -> Hashes:
        """A hash of 64 bits of each image, from the records if there are any."""
        if self.records is not None:
            return self.records["word"].astype(np.uint64)
        return np.concatenate([content_hash(block) for block in self.blocks()])

    def all_images(self) -> Bytes:
        """All images in memory."""
        return select_images(self.images, torch.arange(len(self.images)))

    def blocks(self) -> Iterator[Bytes]:
        """All images, block by block."""
        blocks = torch.split(torch.arange(len(self.images)), BLOCK)
        return (select_images(self.images, indices) for indices in blocks)

    def split(self, holdout: float) -> tuple["ImageSet", "ImageSet"]:
        """(training, held out): an official split if there is one, whatever the share.

        Else each image's bytes alone decide: copies of an image stay together in any order of any
        set.
        """
        if self.held_out_split is None:
            held_out = is_held_out(self.content_hashes, holdout)
        else:
            assert self.records is not None, "a source is decoded with its records"
            held_out = self.records["place"] >= self.held_out_split.first
        training, other = (torch.from_numpy(np.flatnonzero(each)) for each in (~held_out, held_out))
        return self.subset(training), replace(
            self.subset(other), held_out_split=self.held_out_split
        )

    def subset(self, indices: Indices) -> "ImageSet":
        """Some of the images of a whole set, without a copy."""
        return ImageSet(
            ImageSubset(self.images, indices),
            None if self.labels is None else self.labels[indices],
            self.classes,
            indices,
            None if self.records is None else self.records[indices.numpy()],
            None if self.weights is None else self.weights[indices],
            larger=None if self.larger is None else ImageSubset(self.larger, indices),
        )


def is_held_out(hashes: Hashes, share: float) -> NDArray[np.bool_]:
    """Whether the hash of each image decides that the image is held out of training."""
    return hashes < np.uint64(math.ceil(share * 2**64))


def load_image_set(
    source: Source, preparation: Preparation, *, copies: int = 1, verbose: bool = True
) -> ImageSet:
    """Load the images of a source. Raises ValueError for unreadable images unless on_error=skip.

    copies: processes of this machine that load the same images.
    """
    decoded = decode_source(source, preparation, copies=copies, verbose=verbose)
    faults, count = [f"{name}: {reason}" for name, reason in decoded.unreadable], source.count
    listed = "; ".join([*faults[:LISTED], *["..."] * (len(faults) > LISTED)])
    if faults and len(faults) == count:
        raise ValueError(f"cannot read any of the {count:,} images: {listed}")
    if faults and preparation.on_error == "stop":
        share = f"{len(faults):,} of {count:,} images: " if len(faults) > 1 else ""
        remedy = "data.on_error=skip goes without, ddpm-data lists all"
        raise ValueError(f"cannot read {share}{listed} ({remedy})")
    if faults:
        share = f"{len(faults):,} of {count:,} images"
        log.warning("warning: %s cannot be read and are skipped: %s", share, listed)
    for label, text in remarks(decoded, source) if verbose else ():
        fact(label, text)
    for values in set_ranges(decoded.records, source, preparation) if verbose else ():
        fact("range", values)
    return assemble_image_set(decoded, source, preparation)


def remarks(decoded: Decoded, source: Source) -> list[tuple[str, str]]:
    """The remarks of a source, with a remark on further pages that are left out."""
    pages = decoded.records["pages"].astype(np.int64)
    several, further = int((pages > 1).sum()), int((pages - 1).clip(0).sum())
    if not several or source.pages == "all":
        return list(source.remarks)
    text = f"{several:,} files have {further:,} further pages, which are left out"
    return [*source.remarks, ("pages", f"{text} ({PAGES_REMEDY})")]


def assemble_image_set(decoded: Decoded, source: Source, preparation: Preparation) -> ImageSet:
    """The readable images with the labels and weights of their source."""
    places, labels, weights = (
        torch.from_numpy(decoded.records["place"].astype(np.int64)),
        None,
        None,
    )
    if source.labels:
        numbers = [-1 if label is None else label for label in source.labels()]
        labels = torch.tensor(numbers)[places]
    if source.parts is not None:
        weights = torch.from_numpy(image_weights(source.parts, places.numpy()))
    images, records = decoded.images, decoded.records
    data = ImageSet(
        images,
        labels,
        source.classes,
        records=records,
        weights=weights,
        held_out_split=source.held_out_split,
    )
    if preparation.crop != "random":
        return data
    return replace(data, images=CentreCrop(images, *preparation.shape[1:]), larger=images)


def image_weights(
    parts: Sequence[tuple[int, float]], places: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The relative frequency of each readable image, so that each part has its share."""
    counts, shares = np.array(parts).T
    part = np.searchsorted(np.cumsum(counts), places, side="right")
    return (shares / shares.max())[part] / np.bincount(part)[part]


def check_labels(data: ImageSet, *, every: bool = False) -> None:
    """Refuse labels from which no class can be learned. every: whether each image needs a label."""
    highest, count = -1 if data.labels is None else int(data.labels.max()), len(data.classes)
    if highest < 0:
        raise ValueError("model.conditional=true needs labels, but those of all images are null")
    if highest >= count:
        rule = f"labels must be less than {count}, the classes there are"
        raise ValueError(f"{rule}, but one is {highest}")
    if every and data.labels is not None and (missing := int((data.labels < 0).sum())):
        rule = "model.network.null_label=false needs a label for every image"
        raise ValueError(f"{rule}, but those of {missing:,} are null")
