"""From an image of any kind to bytes of one shape."""

import math
import os
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps

from ddpm_cli.shapes import Pixels

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
LONGEST = 8  # times the wanted length: crop=adm enlarges no more of a very long image
BICUBIC = Image.Resampling.BICUBIC


@dataclass(frozen=True)
class Preparation:
    """The options that all sources share.

    size: of the images, one number or [height, width]. channels: 1 (grey), 2 (grey, alpha), 3
    (RGB), 4 (RGBA) or, of arrays, 5. crop: the centre; `adm`, the centre after halving (Dhariwal &
    Nichol 2021); or `random`, windows of images that are stored larger by the share `margin`. flip:
    mirror half of the images at random. holdout: the share of images held out of training. cache:
    the place of prepared images: `disk` (the user's cache), a folder, `ram` (each run decodes
    anew), or `off` (each access decodes anew). on_error: whether an unreadable image stops the run
    or is skipped.
    """

    _: KW_ONLY
    size: int | list[int]
    channels: Literal[1, 2, 3, 4, 5]
    flip: bool
    crop: Literal["center", "adm", "random"] = "center"
    margin: float = 0.125
    holdout: float = 0.0
    cache: str = "ram"
    on_error: Literal["stop", "skip"] = "stop"

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or min(self.shape) < 1:
            rule = "data.size must be one positive number or [height, width]"
            raise ValueError(f"{rule}, but is {self.size}")
        if not 0 <= self.holdout < 1:
            rule = "data.holdout must be at least 0 and less than 1"
            raise ValueError(f"{rule}, but is {self.holdout}")
        if not 0 < self.margin <= 1:
            raise ValueError(f"data.margin must be more than 0 and at most 1, but is {self.margin}")
        if self.cache not in ("ram", "disk", "off") and os.sep not in self.cache:
            rule = f"data.cache must be ram, disk, off, or a folder (with a {os.sep} in it)"
            raise ValueError(f"{rule}, but is {self.cache!r}")

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, height, width) of the network's input."""
        sides = [self.size, self.size] if isinstance(self.size, int) else self.size
        return (self.channels, *sides)

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """(channels, height, width) of a stored image."""
        larger = 1 + self.margin if self.crop == "random" else 1
        return (self.channels, *(math.ceil(side * larger) for side in self.shape[1:]))


def prepare_image(
    image: Image.Image | NDArray[Any], shape: tuple[int, ...], crop: str = "center"
) -> Pixels:
    """Turn an image upright, convert, crop and resize it (antialiased) to uint8 of `shape`.

    image: any of Pillow's, or an array [H, W, C]. A JPEG file is decoded only as finely as the size
    needs, except for crop=adm.
    """
    channels, height, width = shape
    fit = halve if crop == "adm" else resize
    if not isinstance(image, Image.Image):
        check_channels(image.shape[2], channels, image.shape[2] == channels)
        bands = map(Image.fromarray, image.transpose(2, 0, 1))
        return torch.from_numpy(np.stack([np.asarray(fit(band, width, height)) for band in bands]))
    check_channels(len(image.getbands()), channels, channels in MODES)
    if fit is resize:
        draft_jpeg(image, max(width, height))
    upright = convert_mode(ImageOps.exif_transpose(image), MODES[channels])
    pixels = np.asarray(fit(upright, width, height)).reshape(height, width, channels)
    return torch.from_numpy(pixels.transpose(2, 0, 1).copy())


def draft_jpeg(image: Image.Image, side: int) -> None:
    """Have a JPEG file decoded at 1/8, 1/4 or 1/2 size if its sides stay whole and suffice."""
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


def halve(image: Image.Image, width: int, height: int) -> Image.Image:
    """Halve an image by 2 x 2 means while it is twice as large, then resize and crop it.

    This is `center_crop_arr` of guided-diffusion.
    """
    while image.width >= 2 * width and image.height >= 2 * height:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    scale = max(width / image.width, height / image.height)
    widest, highest = (math.ceil(LONGEST * side / scale) for side in (width, height))
    image = centre_crop(image, min(image.width, widest), min(image.height, highest))
    size = max(width, round(image.width * scale)), max(height, round(image.height * scale))
    return centre_crop(image.resize(size, BICUBIC), width, height)


def centre_crop(image: Image.Image, width: int, height: int) -> Image.Image:
    """Crop an image about its centre."""
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def convert_mode(image: Image.Image, mode: str) -> Image.Image:
    """Convert an image to a mode of 8 bits.

    16 bits and floats (up to 1, 255 or 65535) are scaled. Transparency lies on white if the mode
    has no alpha.
    """
    if image.mode.startswith(("I", "F")):
        array = np.asarray(image, dtype=np.float64)
        if not np.isfinite(array).all():
            raise ValueError("it has numbers that are not finite")
        whites = () if image.mode.startswith("I") else (1, 255)
        white = next((white for white in whites if array.max() <= white), 65535)
        image = Image.fromarray((array / white * 255).round().clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if "A" not in mode:
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)
