"""Bytes and floats, grids, PNG and films."""

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from einops import rearrange, repeat
from PIL import Image
from torchvision.transforms.v2.functional import to_pil_image
from torchvision.utils import make_grid

from ddpm_cli.shapes import Bytes, Images, Picture, Pixels


def to_float(images: Bytes) -> Images:
    """Bytes 0..255 as floats in [-1, 1]."""
    return images.to(torch.float32) / 127.5 - 1


def to_bytes(images: Images) -> Bytes:
    """Floats as bytes: clamped and rounded, never wrapped around."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)


def grid(images: Bytes, columns: int | None = None, tile: int = 48) -> Picture:
    """Images as one picture of `columns` (else about square), small ones enlarged to `tile` pixels at least.

    One or three channels are shown as they are, any other number as grey tiles.
    """
    images = images.cpu() if images.shape[1] in (1, 3) else rearrange(images.cpu(), "b c h w -> (b c) 1 h w")
    zoom = max(1, math.ceil(tile / min(images.shape[2:])))
    enlarged = repeat(images, "b c h w -> b c (h zoom_y) (w zoom_x)", zoom_y=zoom, zoom_x=zoom)
    return make_grid(enlarged, nrow=columns or math.ceil(math.sqrt(len(images))), pad_value=128)


def save_png(path: Path, image: Picture | Pixels) -> None:
    """Writes one image of one or three channels."""
    whole(path, lambda partial: to_pil_image(image.cpu()).save(partial))


def save_gif(path: Path, frames: Sequence[Picture], milliseconds: int) -> None:
    """Writes a film that repeats, resting on its last frame."""
    first, *others = [to_pil_image(frame.cpu()).convert("P", palette=Image.Palette.ADAPTIVE) for frame in frames]
    times = [milliseconds] * len(others) + [20 * milliseconds]
    whole(path, lambda partial: first.save(partial, save_all=True, append_images=others, duration=times, loop=0))


def save_text(path: Path, text: str) -> None:
    """Writes a text."""
    whole(path, lambda partial: partial.write_text(text))


def whole(path: Path, write: Callable[[Path], object]) -> None:
    """Has a file written beside its place and moved there: a reader sees all of it or the one before, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    try:
        write(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
