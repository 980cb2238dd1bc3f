"""Features of images, one row each, by an extractor whose name says how they came about."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch.nn.functional import interpolate

from ddpm_cli.data import ImageArray, select_images
from ddpm_cli.images import to_float
from ddpm_cli.shapes import Bytes, Features

Extract: TypeAlias = Callable[[Bytes], Features]


@dataclass(frozen=True)
class Extractor:
    """From images to features, and from these to logits of classes where it has some; equal names give equal features.

    The name holds what it depends on: the network, the first 8 hex digits of the SHA-256 of its weights, and the resize.
    """

    name: str
    extract: Extract
    head: Callable[[Features], Any] | None


def pixels(device: torch.device, *, side: int) -> Extractor:
    """The pixels in [-1, 1] of images [B, C, H, W], averaged down to at most `side` pixels a side: [B, C x height x width]."""
    if side < 1:
        raise ValueError(f"features.side must be at least 1, but is {side}")
    return Extractor(f"pixels-{side}", lambda images: average_down(images.to(device), side), None)


def average_down(images: Bytes, side: int) -> Features:
    """Images as floats, averaged down, a row each."""
    height, width = (min(side, length) for length in images.shape[2:])
    return interpolate(to_float(images), (height, width), mode="area").flatten(1)


def extract_features(extract: Extract, images: ImageArray, *, at_once: int = 256) -> Features:
    """The features of any number of images [N, D], from so many images at once as floats."""
    return torch.cat(
        [
            extract(select_images(images, some)).cpu()
            for some in torch.split(torch.arange(len(images)), at_once)
        ]
    )
