"""The ranges of a set's values: one from black to white for the whole set, never one an image."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddpm_cli.data.preparation import Preparation
from ddpm_cli.data.sources.source import Rules, Source
from ddpm_cli.pixels.values import RANGES, Ranges, fitting_range, range_rule, value_kind

EIGHT_BITS = "is of images of more than 8 bits, but those of this set have 8: choose auto"


@dataclass(frozen=True)
class ValueRange:
    """The values of a kind (uint16, integer, float) in a set, and its values of black and white.

    clipped: the number of images with values beyond black and white.
    """

    kind: str
    images: int
    least: float
    most: float
    black: float
    white: float
    clipped: int

    def __str__(self) -> str:
        """The range in one line, with a remedy if its white is far away."""
        extremes = f"run from {self.least:g} to {self.most:g}"
        text = f"{self.kind} values of {self.images:,} images {extremes}; "
        text += f"{self.black:g} is black, {self.white:g} is white"
        if self.clipped:
            text += f"; {self.clipped:,} images have values beyond, which are clipped"
        bits = max(8, int(self.most).bit_length())
        if self.kind == "uint16" and self.white == 65535 and bits < 16:
            remedy = f"data.range=[0,{2**bits - 1}] uses them whole"
            text += f"; values reach {self.most:g} of 65535: {remedy}"
        return text


def first_ranges(preparation: Preparation, rules: Rules) -> Ranges | None:
    """The ranges by kind that are tried first; None: each image has its own range."""
    if preparation.range == "auto":
        return {kind: ranges[0] for kind, ranges in RANGES.items()} if rules != 1 else None
    if rules == 1:
        raise ValueError(f"data.range={preparation.range} needs data.rules=2, but it is 1")
    black, white = preparation.range
    return dict.fromkeys(RANGES, (black, white))


def stream_ranges(preparation: Preparation, rules: Rules) -> Ranges | None:
    """The ranges by kind that depend on no image; None: each image has its own range."""
    ranges = first_ranges(preparation, rules)
    if ranges is None or preparation.range != "auto":
        return ranges
    return {"uint16": ranges["uint16"]}


def set_ranges(records: NDArray[Any], source: Source, preparation: Preparation) -> list[ValueRange]:
    """The ranges of the kinds of numbers in a set, none of images of 8 bits.

    Raises ValueError if the option must say what is black and white, or has no effect.
    """
    if (ranges := first_ranges(preparation, source.rules)) is None:
        return []
    modes, which = np.unique(records["mode"], return_inverse=True)
    kinds = np.array([value_kind(mode.decode()) or "" for mode in modes.tolist()], "U8")[which]
    parts = {kind: records[kinds == kind] for kind in ranges if (kinds == kind).any()}
    if preparation.range != "auto" and len(records) and not parts:
        raise ValueError(f"data.range={preparation.range} {EIGHT_BITS}")
    return [kind_range(kind, part, source, preparation) for kind, part in parts.items()]


def ranges_by_kind(
    records: NDArray[Any], source: Source, preparation: Preparation
) -> Ranges | None:
    """The ranges of all kinds, as the images of a set need them; None: each image has its own."""
    if (likely := first_ranges(preparation, source.rules)) is None:
        return None
    ranges = set_ranges(records, source, preparation)
    return {**likely, **{each.kind: (each.black, each.white) for each in ranges}}


def kind_range(
    kind: str, records: NDArray[Any], source: Source, preparation: Preparation
) -> ValueRange:
    """The range of the values of one kind, which these records have."""
    least, most = float(records["least"].min()), float(records["most"].max())
    if preparation.range != "auto":
        black, white = preparation.range
    elif source.rows and kind != "uint16":
        raise ValueError(f"{kind} {range_rule(least, most)}: not all images of a stream are seen")
    else:
        black, white = fitting_range(kind, least, most)
    clipped = int(((records["least"] < black) | (records["most"] > white)).sum())
    return ValueRange(kind, len(records), least, most, black, white, clipped)
