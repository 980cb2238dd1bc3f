"""Pictures of images: grids, PNG and GIF files."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from einops import rearrange, repeat
from jaxtyping import UInt8
from PIL import Image

from ddpm_cli.files import write_atomically

ImageBytes: TypeAlias = UInt8[np.ndarray, "_ _ _ _"]  # images, channels, rows, columns
Picture: TypeAlias = UInt8[np.ndarray, "_ _ _"]  # channels, rows, columns
GREY, GAP = 128, 2  # the colour and the width of gaps between and around tiles


def grid(images: ImageBytes, columns: int | None = None, tile: int = 48) -> Picture:
    """Images as one picture of `columns` columns, else about square; one image has no margin.

    Small images are enlarged to `tile` pixels at least. One or three channels are shown as they
    are, any other number as grey tiles.
    """
    count = len(images) * (1 if images.shape[1] == 3 else images.shape[1])
    picture = mosaic(images, min(columns or math.ceil(math.sqrt(count)), count), tile)
    return picture[:, GAP:-GAP, GAP:-GAP] if count == 1 else picture


def mosaic(images: ImageBytes, columns: int | None, tile: int) -> Picture:
    """Images in rows of `columns`, else in one row, with gaps between and around the images.

    Images are enlarged without blur to `tile` pixels at least. Missing images are grey.
    """
    if images.shape[1] != 3:
        images = repeat(images, "b c h w -> (b c) rgb h w", rgb=3)
    zoom = max(1, math.ceil(tile / min(images.shape[2:])))
    tiles = repeat(images, "b c h w -> b c (h zoom_y) (w zoom_x)", zoom_y=zoom, zoom_x=zoom)
    columns = columns or len(tiles)
    margins = [(0, -len(tiles) % columns), (0, 0), (GAP, 0), (GAP, 0)]
    tiles = np.pad(tiles, margins, constant_values=GREY)
    picture = rearrange(tiles, "(row column) c h w -> c (row h) (column w)", column=columns)
    return np.pad(picture, [(0, 0), (0, GAP), (0, GAP)], constant_values=GREY)


def extend(picture: Picture, *, height: int = 0, width: int = 0, colour: int = GREY) -> Picture:
    """A picture of at least this size, with a grey below it and at its right."""
    missing = [
        max(0, size - now) for size, now in zip((height, width), picture.shape[1:], strict=True)
    ]
    return np.pad(picture, [(0, 0), *((0, each) for each in missing)], constant_values=colour)


def pil_image(picture: Picture) -> Image.Image:
    """A picture as an image of Pillow, grey if the picture has one channel."""
    return Image.fromarray(
        picture[0] if len(picture) == 1 else rearrange(picture, "c h w -> h w c")
    )


def save_png(path: Path, picture: Picture) -> None:
    """Write a picture as PNG."""
    write_atomically(path, pil_image(picture).save)


def save_gif(path: Path, frames: Sequence[Picture], milliseconds: int) -> None:
    """Write a film that repeats and rests on its last frame."""
    first, *others = [
        pil_image(frame).convert("P", palette=Image.Palette.ADAPTIVE) for frame in frames
    ]
    times = [milliseconds] * len(others) + [20 * milliseconds]
    write_atomically(
        path,
        lambda partial: first.save(
            partial, save_all=True, append_images=others, duration=times, loop=0
        ),
    )
