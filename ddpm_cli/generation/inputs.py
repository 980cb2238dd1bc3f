"""The images and masks whose files the user names."""

from collections.abc import Sequence

import numpy as np
from omegaconf import DictConfig, OmegaConf
from PIL import Image, ImageOps

from ddpm_cli.data.preparation import is_rising_pair
from ddpm_cli.files import user_path
from ddpm_cli.image_sets.decoding import UNREADABLE
from ddpm_cli.images import open_image, prepare_image, to_float, upright_size
from ddpm_cli.pixels.values import RANGES, Range
from ddpm_cli.shapes import Images, Mask

WHITE = 128  # the darkest grey that counts as white in a mask


def load_image(path: str) -> Image.Image:
    """Open the image in a file. Raises ValueError if the file holds no image."""
    try:
        image = open_image(user_path(path))
        image.load()
    except UNREADABLE as error:
        raise ValueError(f"cannot read the image {path!r}: {error}") from error
    return image


def read_image(path: str, shape: Sequence[int], values: Range | None = None) -> Images:
    """Read an image [1, C, H, W] in [-1, 1], cropped and resized as for training.

    values: the values of black and white in images of more than 8 bits; None: by the image itself.
    """
    ranges = None if values is None else dict.fromkeys(RANGES, values)
    image = load_image(path)
    try:
        return to_float(prepare_image(image, tuple(shape), ranges=ranges)[None])
    except ValueError as error:
        raise ValueError(f"cannot use the image {path!r}: {error}") from error


def trained_range(config: DictConfig) -> Range | None:
    """The values of black and white by which a model's images were read; None if not given."""
    values = OmegaConf.select(config, "data.range", default=None)
    try:
        numbers = list(map(float, values))
    except (TypeError, ValueError):
        return None
    return (numbers[0], numbers[1]) if is_rising_pair(numbers) else None


def read_mask(path: str, of: str, shape: Sequence[int]) -> Mask:
    """Read where a mask is white: [1, 1, H, W], cropped and resized like the image in `of`.

    If some of its pixels are transparent, the mask is white where it is opaque. Raises ValueError
    if its proportions are not the image's, or if it paints nothing or everything.
    """
    mask, image = ImageOps.exif_transpose(load_image(path)), upright_size(load_image(of))
    (width, height), rounded = mask.size, max(sum(mask.size), sum(image)) / 2
    if abs(width * image[1] - height * image[0]) > rounded:
        rule = f"the proportions of {of!r}, {image[0]} x {image[1]}"
        raise ValueError(f"mask must have {rule}, but {path!r} is {width} x {height}")
    if mask.has_transparency_data:
        alpha = mask.convert("RGBA").getchannel("A")
        mask = alpha if np.ptp(np.asarray(alpha)) else mask.convert("RGB")
    grey = prepare_image(mask, (1, *shape[1:]))[None]
    white = grey >= WHITE
    if white.all() or not white.any():
        rule = "mask must be white where it paints and black elsewhere"
        amount = "everything" if white.all() else "nothing"
        levels = f"its greys run from {int(grey.min())} to {int(grey.max())} of 255"
        raise ValueError(f"{rule}, but {path!r} paints {amount}: {levels}")
    return white
