"""Images: bytes and floats, arrays of bytes, and any image as bytes of one shape."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from ddpm_cli.pixels.values import Ranges, to_eight_bits, value_kind
from ddpm_cli.shapes import Bytes, Images, Indices, Labels, Pixels

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
LONGEST = 8  # times the wanted length: crop=adm enlarges no more of an image that is cut first
LARGEST = 2**27  # the most pixels that crop=adm enlarges an image to before it cuts the image
FINENESS = {1: 1, 2: 3}  # times the wanted side: the least of a shrunk JPEG, by the rules
FORMATS = (  # not PostScript and Windows metafiles, for which Pillow starts other programs
    *("PNG", "JPEG", "MPO", "JPEG2000", "WEBP", "AVIF", "GIF", "TIFF", "BMP", "DIB", "PPM"),
    *("TGA", "ICO", "ICNS", "PCX", "SGI", "DDS", "QOI", "SPIDER", "XBM", "XPM", "PSD", "IM"),
    "HEIF",  # of pillow-heif, if it is installed
)
BICUBIC = Image.Resampling.BICUBIC


@cache
def known_formats() -> tuple[str, ...]:
    """The formats of FORMATS that this Pillow reads, HEIF among them if pillow-heif is there."""
    Image.init()
    if find_spec("pillow_heif"):
        import_module("pillow_heif").register_heif_opener()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def open_image(file: str | Path | BytesIO) -> Image.Image:
    """Open an image of a known format, which starts no other program.

    Raises OSError for other files, a FIFO, a socket and a device among them.
    """
    if not isinstance(file, BytesIO) and os.path.exists(file) and not os.path.isfile(file):
        raise OSError(f"{str(file)!r} is not a regular file")
    return Image.open(file, formats=known_formats())


def to_float(images: Bytes) -> Images:
    """Bytes 0..255 as floats in [-1, 1]."""
    return (images / 127.5).sub_(1)


def to_bytes(images: Images) -> Bytes:
    """Floats as bytes: clamped and rounded, never wrapped around."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


@runtime_checkable
class ImageArray(Protocol):
    """Images [N, C, H, W], such as a tensor in memory or mapped from a file."""

    @property
    def shape(self) -> Sequence[int]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, indices: Indices) -> Bytes: ...


def select_images(images: ImageArray, indices: Indices) -> Bytes:
    """The images at these indices; NumPy selects from a tensor five times as fast as torch."""
    if isinstance(images, torch.Tensor):
        return torch.from_numpy(images.numpy()[indices.numpy()])
    return images[indices]


@dataclass(frozen=True)
class Batch:
    """Images as bytes, their labels if there are any, and their indices in the data set.

    first: the place of the first image in the global batch. position: the stream's next position.
    """

    images: Bytes
    labels: Labels | None
    indices: Indices
    first: int = 0
    position: str = ""

    def pin_memory(self) -> "Batch":
        """The batch in pinned memory, from which a copy to a GPU is asynchronous."""
        labels = None if self.labels is None else self.labels.pin_memory()
        return replace(self, images=self.images.pin_memory(), labels=labels)


@dataclass(frozen=True)
class ImageSubset:
    """Some images of an array, without a copy."""

    images: ImageArray
    places: Indices

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.places), *self.images.shape[1:])

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, indices: Indices) -> Bytes:
        return select_images(self.images, self.places[indices])


@dataclass(frozen=True)
class CentreCrop:
    """Crops at the centres of larger images."""

    images: ImageArray
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.images.shape[:2], self.height, self.width)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, indices: Indices) -> Bytes:
        height, width = self.images.shape[2:]
        top, left = (height - self.height) // 2, (width - self.width) // 2
        crop = slice(top, top + self.height), slice(left, left + self.width)
        return select_images(self.images, indices)[..., *crop]


def prepare_image(
    image: Image.Image | NDArray[Any],
    shape: tuple[int, ...],
    crop: str = "center",
    *,
    ranges: Ranges | None = None,
    rules: int = 2,
) -> Pixels:
    """Turn an image upright, convert, crop and resize it (antialiased) to uint8 of `shape`.

    image: any of Pillow's, or an array [H, W] or [H, W, C]. A JPEG file is decoded only as finely
    as the size needs, except for crop=adm. ranges: the values of black and white for the image's
    whole set; None: by the image itself. rules: the version of the rules of the preparation.
    """
    channels, height, width = shape
    fit = partial(halve, rules=rules) if crop == "adm" else resize
    if not isinstance(image, Image.Image):
        if value_kind(image.dtype.name):
            image = to_eight_bits(image, ranges, rules)
        if image.shape[2:] == (5,):
            check_channels(5, channels, channels == 5)
            bands = map(Image.fromarray, image.transpose(2, 0, 1))
            fitted = [np.asarray(fit(band, width, height)) for band in bands]
            return torch.from_numpy(np.stack(fitted))
        image = Image.fromarray(image)
    check_channels(len(image.getbands()), channels, channels in MODES)
    if fit is resize:
        draft_jpeg(image, FINENESS[rules] * max(width, height))
    upright = ImageOps.exif_transpose(image)
    if value_kind(upright.mode):
        upright = Image.fromarray(to_eight_bits(upright, ranges, rules))
    upright = convert_mode(upright, MODES[channels])
    pixels = np.asarray(fit(upright, width, height)).reshape(height, width, channels)
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


def draft_jpeg(image: Image.Image, side: int) -> None:
    """Have a JPEG file decoded at 1/8, 1/4 or 1/2 size if its sides stay whole and suffice.

    While three times the wanted side remains, images like photographs differ from those of a whole
    decoding by 2 levels at most (root mean square 0.7); with once the side, by 12 (2.7).
    """
    for scale in (8, 4, 2):
        if image.width % scale == image.height % scale == 0 and min(image.size) >= scale * side:
            image.draft(None, (image.width // scale, image.height // scale))
            return


def upright_size(image: Image.Image) -> tuple[int, int]:
    """The width and height of an image after rotation by its EXIF orientation."""
    rotated = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
    return (image.height, image.width) if rotated else (image.width, image.height)


def check_channels(count: int, wanted: int, fits: bool) -> None:
    """Refuse an image whose channels do not fit."""
    if not fits:
        raise ValueError(f"it has {count} channels, and data.channels is {wanted}")


def resize(image: Image.Image, width: int, height: int) -> Image.Image:
    """Resize the largest centre crop in one step of bicubic resampling."""
    return ImageOps.fit(image, (width, height), BICUBIC)


def halve(image: Image.Image, width: int, height: int, *, rules: int) -> Image.Image:
    """Halve an image by 2 x 2 means while it is twice as large, then resize and crop it.

    This is `center_crop_arr` of guided-diffusion. An image that would be enlarged to more than
    LARGEST pixels (of 256 pixels: from an aspect of 2,048 on) is cut first, and differs a little.
    """
    while image.width >= 2 * width and image.height >= 2 * height:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    scale = max(width / image.width, height / image.height)
    if rules == 1 or image.width * scale * image.height * scale > LARGEST:
        widest, highest = (math.ceil(LONGEST * side / scale) for side in (width, height))
        image = centre_crop(image, min(image.width, widest), min(image.height, highest))
    size = max(width, round(image.width * scale)), max(height, round(image.height * scale))
    return centre_crop(image.resize(size, BICUBIC), width, height)


def centre_crop(image: Image.Image, width: int, height: int) -> Image.Image:
    """Crop an image about its centre."""
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def convert_mode(image: Image.Image, mode: str) -> Image.Image:
    """Convert an image of 8 bits to a mode; transparency lies on white if the mode has no alpha."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if "A" not in mode:
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)
