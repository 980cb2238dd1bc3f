"""Pages: the further images in a TIFF, GIF, WebP, AVIF or APNG file."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray
from PIL import Image

from ddpm_cli.data.sources.file_kinds import extension
from ddpm_cli.data.sources.source import Source, hash_parts

PAGED = {"TIFF": ".tif .tiff", "GIF": ".gif", "WEBP": ".webp", "AVIF": ".avif .avifs"}
PAGED |= {"PNG": ".png .apng"}  # not MPO and PSD, whose further images are depths and layers
MOST = 100_000  # pages of a file: some headers claim any number
DAMAGE = (EOFError, OSError, SyntaxError, struct.error, zlib.error)
BROKEN_PAGES = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, *DAMAGE)


def page_count(image: object) -> int:
    """The pages of an open image; 1 if its further pages cannot be found."""
    if getattr(image, "format", None) not in PAGED:
        return 1
    try:
        return min(getattr(image, "n_frames", 1), MOST) if getattr(image, "is_animated", 0) else 1
    except BROKEN_PAGES:
        return 1


def source_of_pages(source: Source, names: Sequence[str]) -> Source:
    """The source of all pages of a source's images, whose files have these names."""
    counts = [pages_in(source, index, name) for index, name in enumerate(names)]
    places = [(index, page) for index, count in enumerate(counts) for page in range(count)]

    def open_page(number: int) -> Image.Image | NDArray[Any]:
        index, page = places[number]
        image = source.open(index)
        if page and isinstance(image, Image.Image):
            image.seek(page)
        return image

    def page_name(number: int) -> str:
        index, page = places[number]
        return f"{source.name(index)}, page {page + 1}" if counts[index] > 1 else source.name(index)

    def labels() -> list[int | None]:
        every = source.labels() if source.labels else ()
        return [every[index] for index, _ in places]

    return replace(
        source,
        count=len(places),
        open=open_page,
        name=page_name,
        labels=labels if source.labels else None,
        version=lambda: hash_parts([source.version(), counts]),
        pages="all",
    )


def pages_in(source: Source, index: int, name: str) -> int:
    """The pages of an image; 1 of a file that cannot be read, as its reading says."""
    if extension(name) not in " ".join(PAGED.values()).split():
        return 1
    try:
        return page_count(source.open(index))
    except BROKEN_PAGES:
        return 1
