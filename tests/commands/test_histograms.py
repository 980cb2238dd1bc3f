"""The histograms of a data set: panels for what there is, and no other."""

from functools import partial

import numpy as np
import pytest
from matplotlib.figure import Figure

from ddpm_cli.commands.data.histograms import bar_counts, draw_histograms, draw_sizes
from ddpm_cli.image_sets.decoding import RECORD
from ddpm_cli.preflight.image_statistics import ImageStatistics

NONE = np.zeros(0, np.int64)
STATISTICS = partial(
    ImageStatistics,
    [],
    NONE,
    unlabelled=0,
    plain=NONE,
    exact=[],
    near=NONE,
    held_out=NONE,
    leaked=NONE,
)


def records(*sizes):
    found = np.zeros(len(sizes), RECORD)
    found["width"], found["height"] = np.array(sizes).T
    return found


def labels(modes, classes, channels=3):
    figure, statistics = Figure(), STATISTICS(modes=modes, classes=classes)
    images = np.zeros((2, channels, 4, 4), np.uint8)
    draw_histograms(statistics, records((8, 9), (10, 11)), images, figure)
    assert len(bar_counts(statistics)) == len(figure.axes) - 2
    return [each.get_xlabel() for each in figure.axes]


@pytest.mark.parametrize(
    ("modes", "classes", "below"),
    [
        ({"RGB": 2}, {}, []),
        ({"RGB": 2}, {"a": 2}, ["classes"]),
        ({"RGB": 1, "L": 1}, {}, ["modes"]),
        ({"RGB": 1, "L": 1}, {"a$b$": 1, "c": 1}, ["classes", "modes"]),
    ],
)
def test_a_sheet_has_a_panel_for_what_there_is_alone(modes, classes, below):
    assert labels(modes, classes) == ["width (pixels)", "value (of 2 images)", *below]


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_a_sheet_shows_any_number_of_channels(channels):
    assert len(labels({"RGB": 2}, {}, channels)) == 2


@pytest.mark.parametrize("sizes", [[(28, 28)], [(204, 114), (307, 175)], [(1, 1), (9000, 8000)]])
def test_sizes_are_written_as_whole_numbers(sizes):
    axes = Figure().subplots()
    draw_sizes(axes, records(*sizes))
    low, high = axes.get_xlim()
    ticks = [each for each in axes.get_xticks() if low <= each <= high]
    assert 1 <= len(ticks) <= 8
    assert axes.xaxis.get_major_formatter()(1024) == "1,024"
