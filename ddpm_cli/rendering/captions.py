"""Pictures with words: labelled rows of images, and pictures side by side under their captions."""

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from einops import rearrange
from PIL import Image, ImageDraw, ImageFont

from ddpm_cli.console import printable
from ddpm_cli.rendering.figure import import_matplotlib
from ddpm_cli.rendering.tiles import ImageBytes, Picture, extend, mosaic
from ddpm_cli.text import cut_text, encodable_text

SMALL, MARGIN = 12, 6  # pixels: the size of small letters, and the space beside words
LINE, WHITE = (
    SMALL + MARGIN,
    255,
)  # the height of a line of small letters, and the colour below them


def labelled_rows(
    rows: Sequence[tuple[str, ImageBytes]], tile: int = 48, notes: Sequence[Sequence[str]] = ()
) -> Picture:
    """A row of images at the right of each label, as in a grid; grey fills the shorter rows.

    A long label is cut. notes: the lines below each row, which are cut in the middle.
    """
    strips = [mosaic(images, None, tile) for _, images in rows]
    size = max(SMALL, min(each.shape[1] for each in strips) // 3)
    labels = [drawable_text(cut_text(label), size) for label, _ in rows]
    margin = math.ceil(max(font_of(size).getlength(label) for label in labels)) + 2 * MARGIN
    width = max(each.shape[2] for each in strips)
    lines = []
    for place, (label, strip) in enumerate(zip(labels, strips, strict=True)):
        words = words_picture([label], margin, strip.shape[1], size)
        lines.append(np.concatenate([words, extend(strip, width=width)], axis=2))
        if notes:
            lines.append(note_lines(notes[place], margin + width))
    return np.concatenate(lines, axis=1)


def side_by_side(pictures: Sequence[tuple[str, Picture]]) -> Picture:
    """Pictures beside one another, each with a caption above it; no caption is cut."""
    parts, height = [], LINE + max(picture.shape[1] for _, picture in pictures)
    for caption, picture in pictures:
        words = drawable_text(caption, SMALL)
        width = math.ceil(font_of(SMALL).getlength(words)) + 2 * MARGIN
        if len(picture) == 1:
            picture = np.repeat(picture, 3, axis=0)
        picture = extend(picture, width=width, colour=WHITE)
        part = np.concatenate([words_picture([words], picture.shape[2], LINE), picture], axis=1)
        parts.append(extend(part, height=height, width=picture.shape[2] + MARGIN, colour=WHITE))
    return np.concatenate(parts, axis=2)[:, :, :-MARGIN]


def note_lines(texts: Sequence[str], width: int) -> Picture:
    """Lines of small letters in a picture of a width."""
    lines = [fit_text(drawable_text(each, SMALL), width - 2 * MARGIN) for each in texts]
    return words_picture(lines, width, LINE * len(lines))


def words_picture(lines: Sequence[str], width: int, height: int, size: int = SMALL) -> Picture:
    """Lines of words, black on white, in a picture of this size."""
    picture = Image.new("RGB", (width, height), "white")
    for place, line in enumerate(lines):
        middle = (place + 0.5) * height / len(lines)
        draw = ImageDraw.Draw(picture)
        draw.text((MARGIN, middle), line, fill="black", font=font_of(size), anchor="lm")
    return rearrange(np.asarray(picture), "h w c -> c h w")


def fit_text(text: str, width: int, size: int = SMALL) -> str:
    """A text that is no wider than so many pixels: the middle is left out, an end remains."""
    font, text = font_of(size), text if len(text) < 1000 else f"{text[:500]}{text[-500:]}"
    shown, count = text, len(text)
    while count and font.getlength(shown) > width:
        count -= 1
        shown = f"{text[: count // 2]}...{text[len(text) - (count - count // 2) :]}"
    return shown


def drawable_text(text: str, size: int) -> str:
    """A text in one line, with escapes for characters that the letters lack."""
    font = font_of(size)
    lacking = bytes(font.getmask("\uffff"))
    return "".join(
        encodable_text(each, "ascii") if bytes(font.getmask(each)) == lacking else each
        for each in printable(text)
    )


@cache
def font_of(size: int) -> ImageFont.FreeTypeFont:
    """The letters of Matplotlib's figures, which are more than those of Pillow, in a size."""
    import_matplotlib()
    from matplotlib import get_data_path

    return ImageFont.truetype(Path(get_data_path(), "fonts/ttf/DejaVuSans.ttf"), size)
