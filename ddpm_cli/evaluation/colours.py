"""The colours of samples beside those of the data, and whether samples are tinted."""

import math
from dataclasses import dataclass

import torch

from ddpm_cli.images import ImageArray, select_images, to_float
from ddpm_cli.shapes import Bytes, Features

COMPARED = 1024  # images of the data whose colours are compared with the samples'
SURE, VISIBLE = 4.0, 0.1  # the least tint: in standard errors, and in values from -1 to 1


@dataclass(frozen=True)
class ColourComparison:
    """Mean and contrast of each channel, by name, of samples and of the data.

    tint: the name of the number that differs most, if samples are tinted; else "".
    """

    samples: dict[str, float]
    data: dict[str, float]
    tint: str

    @property
    def tint_text(self) -> str:
        """The tint in words."""
        values = f"{self.samples[self.tint]:.2f}, and {self.data[self.tint]:.2f} in the data"
        return f"{self.tint} of the channels is {values} (images from -1 to 1)"


def compare_colours(samples: Bytes, images: ImageArray) -> ColourComparison:
    """Compare the colours of samples with those of the data's images."""
    some = torch.arange(0, len(images), math.ceil(len(images) / COMPARED))
    data = colour_statistics(select_images(images, some))
    usual, own = data.mean(0), colour_statistics(samples).mean(0)
    channels = range(1, samples.shape[1] + 1)
    names = [f"{kind}_{channel}" for kind in ("mean", "contrast") for channel in channels]
    ours, theirs = (
        {name: round(number, 4) for name, number in zip(names, each.tolist(), strict=True)}
        for each in (own, usual)
    )
    distance, error = (own - usual).abs(), data.std(0, correction=0) / math.sqrt(len(samples))
    tinted = (distance > SURE * error) & (distance > VISIBLE)
    tint = names[int((distance * tinted).argmax())] if tinted.any() else ""
    return ColourComparison(ours, theirs, tint)


def colour_statistics(images: Bytes) -> Features:
    """The mean of every channel of each image, then the standard deviation of each."""
    pixels = to_float(images).flatten(2)
    return torch.cat([pixels.mean(2), pixels.std(2, correction=0)], dim=1)
