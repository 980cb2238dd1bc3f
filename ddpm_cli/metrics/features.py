"""Features of images, one row for each image, by extractors."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch.nn.functional import interpolate

from ddpm_cli.images import ImageArray, select_images, to_float
from ddpm_cli.shapes import Bytes, Features

Extract: TypeAlias = Callable[[Bytes], Features]


@dataclass(frozen=True)
class Extractor:
    """Images -> features; `head`: features -> logits of classes, where the network has classes.

    name: the network, the first 8 hex digits of its weights' SHA-256, and the resize. Equal names
    give equal features.
    """

    name: str
    extract: Extract
    head: Callable[[Features], Any] | None


def pixels(device: torch.device, *, side: int) -> Extractor:
    """Pixels in [-1, 1] of images [B, C, H, W], averaged to at most `side` pixels a side.

    Features are [B, C x height x width].
    """
    if side < 1:
        raise ValueError(f"features.side must be at least 1, but is {side}")
    return Extractor(f"pixels-{side}", lambda images: average_down(images.to(device), side), None)


def average_down(images: Bytes, side: int) -> Features:
    """Images as rows of floats, averaged to at most `side` pixels a side."""
    height, width = (min(side, length) for length in images.shape[2:])
    return interpolate(to_float(images), (height, width), mode="area").flatten(1)


def extract_features(extract: Extract, images: ImageArray, *, at_once: int = 256) -> Features:
    """The features [N, D] of N images on the CPU, `at_once` images at a time."""
    places = torch.split(torch.arange(len(images)), at_once)
    return torch.cat([extract(select_images(images, each)).cpu() for each in places])
