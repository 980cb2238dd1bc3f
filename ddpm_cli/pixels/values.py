"""Values of more than 8 bits as bytes: which value is black, and which is white."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Values: TypeAlias = NDArray[Any]
Range: TypeAlias = tuple[float, float]  # the values of black and of white
Ranges: TypeAlias = Mapping[str, Range]  # by the kind of numbers
RANGES: Mapping[str, tuple[Range, ...]] = {  # by the kind of numbers, in the order of preference
    "uint16": ((0, 65535),),
    "integer": ((0, 255), (0, 65535)),
    "float": ((0, 1), (-1, 1), (0, 255)),
}
SLACK = 0.01  # share of white by which floats may lie beyond their range
LEAST = 0.1  # share of a further range of floats that its values reach; else a guess is too bold


def value_kind(mode: str) -> str | None:
    """The kind of numbers in a mode of Pillow or a type of NumPy; None of 8 bits."""
    if mode.startswith("I;16") or mode == "uint16":
        return "uint16"
    if mode.startswith(("F", "float")):
        return "float"
    return "integer" if mode.startswith(("I", "int", "uint")) and mode != "uint8" else None


def image_mode(image: Image.Image | Values) -> str:
    """The mode of an image of Pillow, or the type of an array."""
    return image.mode if isinstance(image, Image.Image) else image.dtype.name


def value_extremes(image: Image.Image | Values) -> Range:
    """The least and the greatest value of an image. Raises ValueError if one is not finite."""
    values = np.asarray(image)
    least, most = float(values.min()), float(values.max())
    if not np.isfinite([least, most]).all():
        raise ValueError("it has numbers that are not finite")
    return least, most


def fitting_range(kind: str, least: float, most: float) -> Range:
    """The first range of a kind of numbers that holds all values.

    Raises ValueError if there is none, or if floats leave most of a range unused: overshoots and
    standardized images lie in [-1, 1] and [0, 255] too, and would become grey or black.
    """
    slack = SLACK if kind == "float" else 0
    for low, high in RANGES[kind]:
        holds_all = low - slack * high <= least and most <= high + slack * high
        is_used = (low == 0 or least <= LEAST * low) and (high == 1 or most >= LEAST * high)
        if holds_all and (is_used or kind != "float"):
            return low, high
    raise ValueError(range_rule(least, most))


def range_rule(least: float, most: float) -> str:
    """The range of values in words, with the option that gives them a meaning."""
    remedy = "data.range=[low,high] says what is black and white"
    return f"values run from {least:g} to {most:g}: {remedy}"


def own_range(kind: str, most: float) -> Range:
    """The range of one image by its brightest value, by version 1 of the rules."""
    whites = (1, 255) if kind == "float" else ()
    return 0, next((white for white in whites if most <= white), 65535)


def image_range(image: Image.Image | Values, ranges: Ranges | None, rules: int) -> Range:
    """The range of an image in a set of these ranges; None: of an image by itself."""
    kind = value_kind(image_mode(image))
    least, most = value_extremes(image)
    assert kind is not None
    if ranges is None:
        return own_range(kind, most) if rules == 1 else fitting_range(kind, least, most)
    if kind not in ranges:
        raise ValueError(f"its {kind} {range_rule(least, most)}")
    return ranges[kind]


def to_eight_bits(
    image: Image.Image | Values, ranges: Ranges | None, rules: int
) -> NDArray[np.uint8]:
    """The values of an image as bytes; values beyond black and white are clipped."""
    black, white = image_range(image, ranges, rules)
    shares = (np.asarray(image, dtype=np.float64) - black) / (white - black)
    return (shares * 255).round().clip(0, 255).astype(np.uint8)
