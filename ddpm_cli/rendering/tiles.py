"""Pictures of images: grids, labelled rows, PNG and GIF files."""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from einops import rearrange, repeat
from PIL import Image, ImageDraw, ImageFont
from torch.nn.functional import pad
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image
from torchvision.utils import make_grid

from ddpm_cli.files import write_atomically
from ddpm_cli.shapes import Bytes, Picture, Pixels, Row, Tiles

GREY, GAP = 128, 2  # between tiles and beyond them


def grid(images: Bytes, columns: int | None = None, tile: int = 48) -> Picture:
    """Images as one picture of `columns` (else about square), small ones enlarged to `tile` pixels at least.

    One or three channels are shown as they are, any other number as grey tiles.
    """
    shown = tiles(images, tile)
    return make_grid(
        shown, nrow=columns or math.ceil(math.sqrt(len(shown))), padding=GAP, pad_value=GREY
    )


def labelled_rows(rows: Sequence[tuple[str, Row]], tile: int = 48) -> Picture:
    """A row of images for each label, which stands at its left; shown as in a grid, with grey where a row is shorter than others."""
    strips = [image_strip(images, tile) for _, images in rows]
    font = ImageFont.load_default(max(12, min(each.shape[1] for each in strips) // 3))
    margin = math.ceil(max(font.getlength(label) for label, _ in rows)) + 12
    width = max(each.shape[2] for each in strips)
    filled = [pad(each, (0, width - each.shape[2]), value=GREY) for each in strips]
    texts = [
        text_tile(label, font, margin, each.shape[1])
        for (label, _), each in zip(rows, filled, strict=True)
    ]
    return torch.cat([torch.cat(texts, dim=1), torch.cat(filled, dim=1)], dim=2)


def image_strip(images: Bytes, tile: int) -> Picture:
    """Images side by side, with a gap round each."""
    shown = pad(tiles(images, tile).expand(-1, 3, -1, -1), (0, GAP, 0, GAP), value=GREY)
    return pad(rearrange(shown, "b c h w -> c h (b w)"), (GAP, 0, GAP, 0), value=GREY)


def tiles(images: Bytes, tile: int) -> Tiles:
    """Images of one or three channels, enlarged without blur to `tile` pixels at least."""
    images = (
        images.cpu()
        if images.shape[1] in (1, 3)
        else rearrange(images.cpu(), "b c h w -> (b c) 1 h w")
    )
    zoom = max(1, math.ceil(tile / min(images.shape[2:])))
    return repeat(images, "b c h w -> b c (h zoom_y) (w zoom_x)", zoom_y=zoom, zoom_x=zoom)


def text_tile(
    words: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int, height: int
) -> Picture:
    """Black words on white, at the left and halfway down."""
    page = Image.new("RGB", (width, height), "white")
    ImageDraw.Draw(page).text((6, height / 2), words, fill="black", font=font, anchor="lm")
    return pil_to_tensor(page)


def save_png(path: Path, image: Picture | Pixels) -> None:
    """Writes one image of one or three channels."""
    write_atomically(path, lambda partial: to_pil_image(image.cpu()).save(partial))


def save_gif(path: Path, frames: Sequence[Picture], milliseconds: int) -> None:
    """Writes a film that repeats, resting on its last frame."""
    first, *others = [
        to_pil_image(frame.cpu()).convert("P", palette=Image.Palette.ADAPTIVE) for frame in frames
    ]
    times = [milliseconds] * len(others) + [20 * milliseconds]
    write_atomically(
        path,
        lambda partial: first.save(
            partial, save_all=True, append_images=others, duration=times, loop=0
        ),
    )
