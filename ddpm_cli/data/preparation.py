"""The options of the preparation of images."""

import math
import os
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Literal

from ddpm_cli.files import user_path


@dataclass(frozen=True)
class Preparation:
    """The options that all sources share.

    size: size of an image, one number or [height, width]. channels: 1 (grey), 2 (grey, alpha), 3
    (RGB), 4 (RGBA) or, of arrays, 5. crop: the centre; `adm`, the centre after halving (Dhariwal &
    Nichol 2021); or `random`, crops of images that are stored larger by the share `margin`. flip:
    mirror half of the images at random. holdout: the share of images held out of training. cache:
    the location of prepared images: `disk` (the user's cache), a folder, `ram` (each run decodes
    anew), or `off` (each access decodes anew). on_error: whether an unreadable image stops the run
    or is skipped. range: the values that are black and white in images of more than 8 bits; `auto`:
    a range that holds all images.

    shape, stored_shape: (channels, height, width) of the network's input and of a stored image.
    cache_folder: the folder of prepared images, if they are kept.
    """

    _: KW_ONLY
    size: int | list[int]
    channels: Literal[1, 2, 3, 4, 5]
    flip: bool
    crop: Literal["center", "adm", "random"] = "center"
    margin: float = 0.125
    holdout: float = 0.0
    cache: str = "ram"
    on_error: Literal["stop", "skip"] = "stop"
    range: Literal["auto"] | list[float] = "auto"
    shape: tuple[int, ...] = field(init=False)
    stored_shape: tuple[int, ...] = field(init=False)
    cache_folder: Path | None = field(init=False)

    def __post_init__(self) -> None:
        sides = [self.size, self.size] if isinstance(self.size, int) else self.size
        larger = 1 + self.margin if self.crop == "random" else 1
        stored_sides = (math.ceil(side * larger) for side in sides)
        folder = None if self.cache in ("ram", "off") else user_path(self.cache)
        if self.cache == "disk":
            folder = user_path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "ddpm-cli"
        # the class is frozen
        object.__setattr__(self, "shape", (self.channels, *sides))
        object.__setattr__(self, "stored_shape", (self.channels, *stored_sides))
        object.__setattr__(self, "cache_folder", folder)
        if len(self.shape) != 3 or min(self.shape) < 1:
            rule = "data.size must be one positive number or [height, width]"
            raise ValueError(f"{rule}, but is {self.size}")
        if not 0 <= self.holdout < 1:
            rule = "data.holdout must be at least 0 and less than 1"
            raise ValueError(f"{rule}, but is {self.holdout}")
        if not 0 < self.margin <= 1:
            raise ValueError(f"data.margin must be more than 0 and at most 1, but is {self.margin}")
        if self.range != "auto" and not is_rising_pair(self.range):
            raise ValueError(f"data.range must be auto or [low, high], but is {self.range}")
        if self.cache not in ("ram", "disk", "off") and os.sep not in self.cache:
            rule = f"data.cache must be ram, disk, off, or a folder (with a {os.sep} in it)"
            raise ValueError(f"{rule}, but is {self.cache!r}")


def is_rising_pair(numbers: list[float]) -> bool:
    """Whether there are two numbers, the second greater by what can divide 255."""
    return len(numbers) == 2 and 1e-300 < numbers[1] - numbers[0] < math.inf
