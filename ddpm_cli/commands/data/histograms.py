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
GREY, ALPHA = ("grey", "tab:gray"), ("alpha", "black")
COLOURS = [("red", "tab:red"), ("green", "tab:green"), ("blue", "tab:blue")]
CHANNELS = {1: [GREY], 2: [GREY, ALPHA], 3: COLOURS, 4: [*COLOURS, ALPHA]}
FINE = 16  # sizes with a dot of their own within a power of two, to limit the number of dots


def bar_counts(statistics: ImageStatistics) -> dict[str, dict[str, int]]:
    """The images by class and by mode, where there are classes and more than a single mode."""
    modes = statistics.modes if len(statistics.modes) > 1 else {}
    counts = {"classes": statistics.classes, "modes": modes}
    return {title: each for title, each in counts.items() if each}


def draw_histograms(
    statistics: ImageStatistics, records: Records, images: ImageBytes, figure: "Figure"
) -> None:
    """Draw the sizes and the bytes of some images, and below them the bars that there are."""
    bars = bar_counts(statistics)
    upper, *lower = figure.subfigures(1 + bool(bars), squeeze=False)[:, 0]
    sizes, levels = upper.subplots(1, 2)
    draw_sizes(sizes, records)
    draw_levels(levels, images)
    for panels in lower:
        every = panels.subplots(1, len(bars), squeeze=False)[0]
        for axes, (title, counts) in zip(every, bars.items(), strict=True):
            draw_bars(axes, counts, title)


def draw_sizes(axes: "Axes", records: Records) -> None:
    """Draw height over width, with a dot for each size; the dot grows with the number of images."""
    from matplotlib.ticker import LogLocator, NullLocator

    powers = np.rint(FINE * np.log2([records["width"], records["height"]])).astype(int)
    (width, height), counts = np.unique(powers, axis=1, return_counts=True)
    axes.scatter(
        2 ** (width / FINE), 2 ** (height / FINE), s=8 + 200 * counts / counts.max(), alpha=0.4
    )
    axes.set(xscale="log", yscale="log", xlabel="width (pixels)", ylabel="height (pixels)")
    for axis, numbers in ((axes.xaxis, width), (axes.yaxis, height)):
        low, high = 2 ** (numbers.min() / FINE - 0.5), 2 ** (numbers.max() / FINE + 0.5)
        between = (1, 1.5) if high < 16 * low else (1,)
        axis.set_major_locator(LogLocator(base=2, subs=between, numticks=8))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter("{x:,.0f}")
        axis.axes.set(**{f"{axis.axis_name}lim": (low, high)})


def draw_levels(axes: "Axes", images: ImageBytes) -> None:
    """Draw how many bytes have each value, channel by channel."""
    channels = images.swapaxes(0, 1)
    known = CHANNELS.get(len(channels), [])
    for number, channel in enumerate(channels):
        name, colour = known[number] if known else (f"channel {number + 1}", None)
        counts = np.bincount(channel.ravel(), minlength=256)
        axes.step(range(256), counts, label=name, color=colour)
    axes.set(xlabel=f"value (of {len(images):,} images)", ylabel="bytes", ylim=(0, None))
    axes.legend()


def draw_bars(axes: "Axes", counts: Mapping[str, int], title: str) -> None:
    """Draw a bar for each name; the names stand below the bars if there are few names."""
    axes.stairs(list(counts.values()), np.arange(len(counts) + 1) - 0.5, fill=True)
    axes.set(xlabel=title, ylabel="images")
    named = list(map(escape_dollars, counts)) if len(counts) <= NAMED else []
    axes.set_xticks(range(len(named)), named, rotation=90 if len(named) > 10 else 0)
