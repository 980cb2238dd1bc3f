"""Histograms of a data set."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ddpm_cli.image_sets.decoding import Records
from ddpm_cli.preflight.image_statistics import ImageStatistics
from ddpm_cli.rendering.tiles import ImageBytes
from ddpm_cli.reports.curves import escape_dollars

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMED = 30  # the most bars whose names stand below them
FINE = 16  # sizes with a dot of their own within a power of two, to limit the number of dots


def draw_histograms(
    statistics: ImageStatistics, records: Records, images: ImageBytes, figure: "Figure"
) -> None:
    """Draw the sizes, the bytes of some images, the classes and the modes."""
    (upper_left, upper_right), (lower_left, lower_right) = figure.subplots(2, 2)
    draw_sizes(upper_left, records)
    draw_levels(upper_right, images)
    draw_bars(lower_left, statistics.classes, "classes")
    draw_bars(lower_right, statistics.modes, "modes")


def draw_sizes(axes: "Axes", records: Records) -> None:
    """Draw height over width, with a dot for each size; the dot grows with the number of images."""
    powers = np.rint(FINE * np.log2([records["width"], records["height"]])).astype(int)
    (width, height), counts = np.unique(powers, axis=1, return_counts=True)
    axes.scatter(
        2 ** (width / FINE), 2 ** (height / FINE), s=8 + 200 * counts / counts.max(), alpha=0.4
    )
    axes.set(xscale="log", yscale="log", xlabel="width (pixels)", ylabel="height (pixels)")


def draw_levels(axes: "Axes", images: ImageBytes) -> None:
    """Draw how many bytes have each value, channel by channel."""
    for number, channel in enumerate(images.swapaxes(0, 1), 1):
        counts = np.bincount(channel.ravel(), minlength=256)
        axes.step(range(256), counts, label=f"channel {number}")
    axes.set(xlabel=f"value (of {len(images):,} images)", ylabel="bytes")
    axes.legend()


def draw_bars(axes: "Axes", counts: Mapping[str, int], title: str) -> None:
    """Draw a bar for each name; the names stand below the bars if there are few names."""
    axes.stairs(list(counts.values()), np.arange(len(counts) + 1) - 0.5, fill=True)
    axes.set(xlabel=title if counts else f"no {title}", ylabel="images")
    named = list(map(escape_dollars, counts)) if len(counts) <= NAMED else []
    axes.set_xticks(range(len(named)), named, rotation=90 if len(named) > 10 else 0)
