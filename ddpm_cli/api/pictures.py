"""Tensors of images as images of Pillow, which notebooks show and which save themselves."""

from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ddpm_cli.rendering.tiles import grid, pil_image

Images: TypeAlias = Tensor | NDArray[Any]  # uint8 [N, C, H, W]


def pil_images(images: Images) -> list[Image.Image]:
    """The images of a uint8 tensor or array [N, C, H, W] one by one, of 1 to 4 channels.

    Raises ValueError for other images.
    """
    pixels = image_bytes(images)
    if pixels.shape[1] > 4:
        raise ValueError(f"images must have 1 to 4 channels, but have {pixels.shape[1]}")
    return [pil_image(each) for each in pixels.numpy()]


def image_grid(images: Images, columns: int | None = None) -> Image.Image:
    """A uint8 tensor or array [N, C, H, W] as one picture, as in the `grid.png` of `ddpm-sample`.

    columns: the images in a row; None: about as many as rows. Raises ValueError for other images.
    """
    if columns is not None and columns < 1:
        raise ValueError(f"columns must be at least 1, but is {columns}")
    return pil_image(grid(image_bytes(images).numpy(), columns))


def image_bytes(images: object) -> Tensor:
    """Images in the CPU's memory. Raises ValueError unless they are uint8 [N, C, H, W], N > 0."""
    if isinstance(images, np.ndarray) and images.dtype == np.uint8:
        images = torch.from_numpy(images)
    if not isinstance(images, Tensor):
        kind = f"{images.dtype} numpy" if isinstance(images, np.ndarray) else type(images).__name__
        raise ValueError(f"images must be a tensor or array of uint8 [N, C, H, W], but are {kind}")
    if images.dtype != torch.uint8 or images.ndim != 4 or not len(images):
        kind = f"{str(images.dtype).removeprefix('torch.')} {list(images.shape)}"
        raise ValueError(f"images must be uint8 [N, C, H, W], at least one, but are {kind}")
    return images.cpu()
