"""Pictures inside the page, as small as they must be."""

from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO

import numpy as np
from PIL import Image

from ddpm_cli.rendering.html.markup import Markup, element

SIDE, QUALITY = 800, 90  # the most pixels a side of what is made smaller, and its quality


def picture(data: bytes, alt: str, **attributes: str) -> Markup:
    """A PNG or WebP, with what it shows in words for those who do not see it."""
    with Image.open(BytesIO(data)) as opened:
        kind, (width, height) = str(opened.format).lower(), opened.size
    source = f"data:image/{kind};base64,{b64encode(data).decode()}"
    return element("img", src=source, alt=alt, width=str(width), height=str(height), **attributes)


def fitted(pictures: Sequence[bytes], room: int) -> dict[int, bytes]:
    """Pictures by their places that take at most `room` bytes in the page.

    As they are where they fit, else smaller; of those that still do not fit so many as do, evenly chosen, the last one always.
    """
    if sum(map(inside, pictures)) <= room:
        return dict(enumerate(pictures))
    small = [smaller(each) for each in pictures]
    return {
        place: small[place] for place in spread(len(small), max(1, room // max(map(inside, small))))
    }


def inside(data: bytes) -> int:
    """The bytes that a picture takes in the page."""
    return 4 * len(data) // 3 + 4


def smaller(data: bytes) -> bytes:
    """A picture as WebP, of at most SIDE pixels a side."""
    file = BytesIO()
    with Image.open(BytesIO(data)) as opened:
        opened.thumbnail((SIDE, SIDE))
        opened.convert("RGB").save(file, "WEBP", quality=QUALITY)
    return file.getvalue()


def spread(total: int, count: int) -> list[int]:
    """At most `count` places among `total`, last and first included."""
    return sorted({*np.linspace(total - 1, 0, min(count, total)).round().astype(int).tolist()})
