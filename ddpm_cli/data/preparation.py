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
LONGEST = 8  # times as long as wanted is as much as is enlarged of a very long image
BICUBIC = Image.Resampling.BICUBIC


@dataclass(frozen=True)
class Preparation:
    """The options that all sources share.

    size: of the images, one number or [height, width]. channels: 1 (grey), 2 (grey, alpha), 3 (RGB), 4 (RGBA) or, of arrays, 5. crop: the
    centre; `adm`, the same by halving first (Dhariwal & Nichol 2021); or `random`, windows of images kept larger by the share `margin`.
    flip: mirror half of the images at random. holdout: the share of the images kept out of training. cache: where the prepared images
    are kept: `disk` (in the user's cache), a folder, `ram` (read anew by every run), or `off` (nowhere: read anew whenever one is wanted).
    on_error: whether an image that cannot be read stops the run or is skipped.
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
            raise ValueError(
                f"data.size must be one positive number or [height, width], but is {self.size}"
            )
        if not 0 <= self.holdout < 1:
            raise ValueError(
                f"data.holdout must be at least 0 and less than 1, but is {self.holdout}"
            )
        if not 0 < self.margin <= 1:
            raise ValueError(f"data.margin must be more than 0 and at most 1, but is {self.margin}")
        if self.cache not in ("ram", "disk", "off") and os.sep not in self.cache:
            raise ValueError(
                f"data.cache must be ram, disk, off, or a folder (with a {os.sep} in it), but is {self.cache!r}"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """(channels, height, width) of what a network sees."""
        sides = [self.size, self.size] if isinstance(self.size, int) else self.size
        return (self.channels, *sides)

    @property
    def kept(self) -> tuple[int, ...]:
        """(channels, height, width) of what is kept of an image."""
        larger = 1 + self.margin if self.crop == "random" else 1
        return (self.channels, *(math.ceil(side * larger) for side in self.shape[1:]))


def prepare_image(
    image: Image.Image | NDArray[Any], shape: tuple[int, ...], crop: str = "center"
) -> Pixels:
    """Upright, in the channels that are asked for, cropped about the centre and resized (antialiased): uint8 of `shape`.

    image: any of Pillow's, or an array [H, W, C]. Of a JPEG file only as much detail is decoded as the size needs, but for crop=adm.
    """
    channels, height, width = shape
    fit = halve if crop == "adm" else resize
    if not isinstance(image, Image.Image):
        check_channels(image.shape[2], channels, image.shape[2] == channels)
        return torch.from_numpy(
            np.stack(
                [
                    np.asarray(fit(Image.fromarray(band), width, height))
                    for band in image.transpose(2, 0, 1)
                ]
            )
        )
    check_channels(len(image.getbands()), channels, channels in MODES)
    if fit is resize:
        reduce(image, max(width, height))
    array = np.asarray(
        fit(convert_mode(ImageOps.exif_transpose(image), MODES[channels]), width, height)
    )
    return torch.from_numpy(array.reshape(height, width, channels).transpose(2, 0, 1).copy())


def reduce(image: Image.Image, side: int) -> None:
    """Has a JPEG file decoded in an eighth, a quarter or a half of its size, where that is no fraction and leaves sides of that length."""
    for scale in (8, 4, 2):
        if image.width % scale == image.height % scale == 0 and min(image.size) >= scale * side:
            image.draft(None, (image.width // scale, image.height // scale))
            return


def rotate_upright(image: Image.Image) -> tuple[int, int]:
    """The width and height of an image as it is to be seen."""
    lying = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
    return (image.height, image.width) if lying else (image.width, image.height)


def check_channels(there: int, asked: int, well: bool) -> None:
    """Refuses an image without the channels that are asked for."""
    if not well:
        raise ValueError(f"it has {there} channels, and data.channels is {asked}")


def resize(image: Image.Image, width: int, height: int) -> Image.Image:
    """The largest part about the centre, in one step of bicubic resampling."""
    return ImageOps.fit(image, (width, height), BICUBIC)


def halve(image: Image.Image, width: int, height: int) -> Image.Image:
    """The same by means of 2 x 2 pixels while it is twice as large, then bicubic, then cropped (guided-diffusion's center_crop_arr)."""
    while image.width >= 2 * width and image.height >= 2 * height:
        image = image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX)
    scale = max(width / image.width, height / image.height)
    image = centre_crop(
        image,
        min(image.width, math.ceil(LONGEST * width / scale)),
        min(image.height, math.ceil(LONGEST * height / scale)),
    )
    image = image.resize(
        (max(width, round(image.width * scale)), max(height, round(image.height * scale))), BICUBIC
    )
    return centre_crop(image, width, height)


def centre_crop(image: Image.Image, width: int, height: int) -> Image.Image:
    """The part about the centre."""
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def convert_mode(image: Image.Image, mode: str) -> Image.Image:
    """Any mode in another of 8 bits: 16 bit and floats (to 1, 255 or 65535) are scaled, transparency that is not kept lies on white."""
    if image.mode.startswith(("I", "F")):
        array = np.asarray(image, dtype=np.float64)
        if not np.isfinite(array).all():
            raise ValueError("it has numbers that are not finite")
        white = (
            65535
            if image.mode.startswith("I")
            else next((top for top in (1, 255) if array.max() <= top), 65535)
        )
        image = Image.fromarray((array / white * 255).round().clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if "A" not in mode:
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)
