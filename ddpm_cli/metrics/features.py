"""Features of images, whose moments are compared: functions of bytes, one row an image."""

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch.nn.functional import interpolate

from ddpm_cli.data import Pictures, select
from ddpm_cli.images import to_float
from ddpm_cli.shapes import Bytes, Features

Extract: TypeAlias = Callable[[Bytes], Features]


def pixels(images: Bytes, *, side: int) -> Features:
    """The pixels in [-1, 1] of images [B, C, H, W], averaged down to at most `side` pixels a side: [B, C x height x width]."""
    if side < 1:
        raise ValueError(f"features.side must be at least 1, but is {side}")
    height, width = (min(side, length) for length in images.shape[2:])
    return interpolate(to_float(images), (height, width), mode="area").flatten(1)


def extracted(extract: Extract, images: Pictures, *, at_once: int = 256) -> Features:
    """The features of any number of images [N, D], from so many images at once as floats."""
    return torch.cat([extract(select(images, some)).cpu() for some in torch.split(torch.arange(len(images)), at_once)])
