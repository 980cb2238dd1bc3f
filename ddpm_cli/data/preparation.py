"""From files of any kind to bytes of one shape, decoded once and kept in memory."""

import hashlib
import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageOps
from tqdm import tqdm

from ddpm_cli.data.sources import Source
from ddpm_cli.shapes import Bytes, Indices, Labels

UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


@dataclass(frozen=True)
class Preparation:
    """The options that all sources share.

    size: of the images, one number or [height, width]. channels: 1 (grey) or 3 (RGB). flip: mirror half of the images at random.
    holdout: the share of the images kept out of training.
    """

    _: KW_ONLY
    size: int | list[int]
    channels: Literal[1, 3]
    flip: bool
    holdout: float = 0.0

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ValueError(f"data.size must be one positive number or [height, width], but is {self.size}")
        if not 0 <= self.holdout < 1:
            raise ValueError(f"data.holdout must be at least 0 and less than 1, but is {self.holdout}")

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, height, width)."""
        sides = [self.size, self.size] if isinstance(self.size, int) else self.size
        return (self.channels, *sides)


@dataclass(frozen=True)
class ImageSet:
    """Images as bytes, their labels if they have any, the names of the classes; of some of a set, their places in it."""

    images: Bytes
    labels: Labels | None
    classes: list[str]
    places: Indices | None = None

    @property
    def fingerprint(self) -> str:
        """A hash of the images and labels, the same wherever they lie."""
        digest = hashlib.blake2b(repr(self.images.shape).encode(), digest_size=16)
        for tensor in (self.images, self.labels):
            digest.update(b"" if tensor is None else tensor.numpy().data)
        return digest.hexdigest()

    def parted(self, holdout: float) -> tuple["ImageSet", "ImageSet"]:
        """(training, held out): which an image is follows from its bytes alone, so that copies stay together, in any order of any set."""
        words = (hashlib.blake2b(image.numpy().data, digest_size=8).digest() for image in self.images)
        out = torch.tensor([int.from_bytes(word, "big") < holdout * 2**64 for word in words])
        training, held_out = (self.chosen(kept.nonzero().flatten()) for kept in (~out, out))
        return training, held_out

    def chosen(self, indices: Indices) -> "ImageSet":
        """Some of the images of a whole set."""
        return ImageSet(self.images[indices], None if self.labels is None else self.labels[indices], self.classes, indices)


def prepared(source: Source, preparation: Preparation, *, copies: int = 1, aloud: bool = True) -> ImageSet:
    """Decodes every image once, in threads, as `copies` processes do; one that cannot be read is an error that names it."""
    count, shape = source.count, preparation.shape
    needed, there = copies * count * math.prod(shape) / 2**30, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    if needed > 0.8 * there:
        raise ValueError(f"{count} images of {shape} take {needed:.1f} GiB, and this machine has {there:.1f}; choose a smaller data.size")
    images = torch.empty((count, *shape), dtype=torch.uint8)

    def fill(index: int) -> None:
        try:
            images[index] = fitted(source.open(index), shape)
        except UNREADABLE as error:
            raise ValueError(f"cannot read {source.name(index)}: {error}") from error

    with ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // copies)) as pool:
        for _ in tqdm(pool.map(fill, range(count)), "decoding", count, unit=" images", delay=2, leave=False, disable=not aloud):
            pass
    labels = [-1 if label is None else label for label in source.labels()] if source.labels else None
    return ImageSet(images, None if labels is None else torch.tensor(labels), source.classes)


def fitted(image: Image.Image, shape: tuple[int, ...]) -> torch.Tensor:
    """Turned upright, in grey or RGB, cropped about the centre and resized (antialiased): uint8 of `shape`."""
    channels, height, width = shape
    image = coloured(ImageOps.exif_transpose(image), "L" if channels == 1 else "RGB")
    array = np.asarray(ImageOps.fit(image, (width, height), Image.Resampling.BICUBIC))
    return torch.from_numpy(array.reshape(height, width, channels).transpose(2, 0, 1).copy())


def coloured(image: Image.Image, mode: str) -> Image.Image:
    """Any mode as 8 bit grey or RGB: 16 bit and floats (to 1, 255 or 65535) are scaled, transparency lies on white."""
    if image.mode.startswith(("I", "F")):
        array = np.asarray(image, dtype=np.float64)
        white = 65535 if image.mode.startswith("I") else next((top for top in (1, 255) if array.max() <= top), 65535)
        image = Image.fromarray((array / white * 255).round().clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)
