"""Pictures inside the page, made smaller if they do not fit."""

from base64 import b64encode
from collections.abc import Mapping
from io import BytesIO
from typing import TypeVar

from PIL import Image

from ddpm_cli.even_indices import first_to_last

SIDE, QUALITY = 800, 90  # the most pixels a side, and the quality, of a smaller picture
TINY = 256  # pixels of a width below which an enlarged picture shows its pixels
Name = TypeVar("Name")


def image_source(data: bytes, *, wide: bool = False) -> dict[str, object]:
    """The attributes of an image of HTML that hold a PNG or WebP and its size.

    wide: whether the picture fills its place; a tiny picture is then enlarged without blur.
    """
    with Image.open(BytesIO(data)) as image:
        kind, (width, height) = str(image.format).lower(), image.size
    source = f"data:image/{kind};base64,{b64encode(data).decode()}"
    shape = {"src": source, "width": width, "height": height}
    return {**shape, "class": f"wide{' tiny' * (width < TINY)}"} if wide else shape


def fit_pictures(pictures: Mapping[Name, bytes], room: int) -> dict[Name, bytes]:
    """Pictures by name that take at most `room` bytes in the page.

    If the pictures do not fit, all are made smaller. If the smaller pictures do not fit, some are
    left out evenly; the last picture stays.
    """
    if sum(map(inline_size, pictures.values())) <= room:
        return dict(pictures)
    small = {name: smaller(data) for name, data in pictures.items()}
    names = list(small)
    most = max(1, room // max(map(inline_size, small.values())))
    return {names[place]: small[names[place]] for place in first_to_last(len(names), most)}


def fit_picture(data: bytes, room: int) -> bytes:
    """A picture as it is, or made smaller if it takes more than `room` bytes in the page."""
    return data if inline_size(data) <= room else smaller(data)


def inline_size(data: bytes) -> int:
    """The bytes of a picture in the page."""
    return 4 * len(data) // 3 + 4


def smaller(data: bytes) -> bytes:
    """A picture as WebP, of at most SIDE pixels a side."""
    file = BytesIO()
    with Image.open(BytesIO(data)) as image:
        image.thumbnail((SIDE, SIDE))
        image.convert("RGB").save(file, "WEBP", quality=QUALITY)
    return file.getvalue()
