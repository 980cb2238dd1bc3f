"""The sheet of histograms of a data set."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch

from ddpm_cli.data.decoding import Records
from ddpm_cli.preflight.image_facts import ImageFacts
from ddpm_cli.reports.curves import escape_dollars
from ddpm_cli.shapes import Bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMED = 30  # bars have their names below them
FINE = 16  # sizes within a power of two that are told apart: of millions of images a figure takes but so many dots


def draw_histograms(facts: ImageFacts, records: Records, some: Bytes, figure: "Figure") -> None:
    """Draws sizes, bytes of some images, classes and modes."""
    (upper_left, upper_right), (lower_left, lower_right) = figure.subplots(2, 2)
    draw_sizes(upper_left, records)
    draw_levels(upper_right, some)
    draw_bars(lower_left, facts.classes, "classes")
    draw_bars(lower_right, facts.modes, "modes")


def draw_sizes(axes: "Axes", records: Records) -> None:
    """Height over width, a dot for all of about a size, the larger the more there are."""
    powers = np.rint(FINE * np.log2([records["width"], records["height"]])).astype(int)
    (width, height), counts = np.unique(powers, axis=1, return_counts=True)
    axes.scatter(
        2 ** (width / FINE), 2 ** (height / FINE), s=8 + 200 * counts / counts.max(), alpha=0.4
    )
    axes.set(xscale="log", yscale="log", xlabel="width (pixels)", ylabel="height (pixels)")


def draw_levels(axes: "Axes", some: Bytes) -> None:
    """How many bytes have each value, channel by channel."""
    for number, channel in enumerate(some.transpose(0, 1)):
        axes.step(
            range(256),
            torch.bincount(channel.flatten().long(), minlength=256).numpy(),
            label=f"channel {number + 1}",
        )
    axes.set(xlabel=f"value (of {len(some):,} images)", ylabel="bytes")
    axes.legend()


def draw_bars(axes: "Axes", counts: Mapping[str, int], title: str) -> None:
    """A bar for each name, which stands below it where there are few."""
    axes.stairs(list(counts.values()), np.arange(len(counts) + 1) - 0.5, fill=True)
    axes.set(xlabel=title if counts else f"no {title}", ylabel="images")
    named = list(map(escape_dollars, counts)) if len(counts) <= NAMED else []
    axes.set_xticks(range(len(named)), named, rotation=90 if len(named) > 10 else 0)
