"""The images and masks whose files the user names."""

from collections.abc import Sequence

from PIL import Image

from ddpm_cli.files import user_path
from ddpm_cli.image_sets.decoding import UNREADABLE
from ddpm_cli.images import open_image, prepare_image, to_float
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


def read_image(path: str, shape: Sequence[int]) -> Images:
    """Read an image [1, C, H, W] in [-1, 1], cropped and resized as for training."""
    return to_float(prepare_image(load_image(path), tuple(shape))[None])


def read_mask(path: str, shape: Sequence[int]) -> Mask:
    """Read where a mask is white: [1, 1, H, W], cropped and resized like an image."""
    return prepare_image(load_image(path), (1, *shape[1:]))[None] >= WHITE
