"""Tensors of images as images of Pillow, which notebooks show and which save themselves."""

import torch
from PIL import Image
from torch import Tensor

from ddpm_cli.rendering.tiles import grid, pil_image


def pil_images(images: Tensor) -> list[Image.Image]:
    """The images of a uint8 tensor [N, C, H, W] one by one, of 1 to 4 channels.

    Raises ValueError for another tensor.
    """
    if images.ndim == 4 and images.shape[1] > 4:
        raise ValueError(f"images must have 1 to 4 channels, but have {images.shape[1]}")
    return [pil_image(each) for each in image_bytes(images).numpy()]


def image_grid(images: Tensor, columns: int | None = None) -> Image.Image:
    """A uint8 tensor [N, C, H, W] as one picture, as in the `grid.png` of `ddpm-sample`.

    columns: the images in a row; None: about as many as rows. Raises ValueError for another tensor.
    """
    if columns is not None and columns < 1:
        raise ValueError(f"columns must be at least 1, but is {columns}")
    return pil_image(grid(image_bytes(images).numpy(), columns))


def image_bytes(images: Tensor) -> Tensor:
    """Images in the CPU's memory. Raises ValueError unless they are uint8 [N, C, H, W], N > 0."""
    if images.dtype != torch.uint8 or images.ndim != 4 or not len(images):
        kind = f"{str(images.dtype).removeprefix('torch.')} {list(images.shape)}"
        raise ValueError(f"images must be uint8 [N, C, H, W], at least one, but are {kind}")
    return images.cpu()
