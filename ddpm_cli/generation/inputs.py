"""Images and masks that the user names."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from ddpm_cli.data.decoding import UNREADABLE
from ddpm_cli.images import prepare_image, to_float
from ddpm_cli.shapes import Images, Mask

WHITE = 128  # the darkest white of a mask


def open_image(path: str) -> Image.Image:
    """Open the image in a file; ValueError where there is none."""
    try:
        image = Image.open(Path(path).expanduser())
        image.load()
    except UNREADABLE as error:
        raise ValueError(f"cannot read the image {path!r}: {error}") from error
    return image


def read_image(path: str, shape: Sequence[int]) -> Images:
    """An image in [-1, 1], cropped and resized as for training: [1, C, H, W]."""
    return to_float(prepare_image(open_image(path), tuple(shape))[None])


def read_mask(path: str, shape: Sequence[int]) -> Mask:
    """Where a mask is white, cropped and resized like an image: [1, 1, H, W]."""
    return prepare_image(open_image(path), (1, *shape[1:]))[None] >= WHITE
