"""The picture of held-out losses: its axes, its colours, and what they say."""

import numpy as np
import torch
from matplotlib.figure import Figure

from ddpm_cli.reports.held_out import draw_heat_map, held_out_picture

STEPS = torch.tensor([250, 500, 750, 1000])
LOSSES = torch.tensor([[9.0, 3.0], [2.0, 1.0], [1.0, 1.0], [1.5, 1.0]])


def drawn(steps, ratios, times=1000):
    figure = Figure()
    draw_heat_map(figure, steps, ratios, times)
    return figure.axes


def test_the_axes_are_step_and_time_and_a_colour_bar_says_what_a_colour_is():
    axes, bar = drawn(STEPS.tolist(), LOSSES.numpy())
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("training step", "time t")
    assert "400" in [each.get_text() for each in axes.get_xticklabels()]
    assert [each.get_text() for each in axes.get_yticklabels()] == [
        "clean  0",
        "250",
        "500",
        "750",
        "noise  1,000",
    ]
    assert "multiples of\nthe lowest loss" in bar.get_ylabel()
    assert [each.get_text() for each in bar.get_yticklabels()][::4] == ["x 1.00", "x 2.00"]


def test_many_validations_have_few_labels():
    axes, _ = drawn(range(7, 7 * 513, 7), np.ones((512, 16), np.float32))
    assert len(axes.get_xticks()) <= 10


def test_a_time_is_as_bright_as_its_loss_is_above_its_lowest():
    picture = held_out_picture(STEPS, LOSSES, 1000)
    above, below = picture[1, 60], picture[1, 250]  # green grows with the ratio
    first, third, last = 200, 500, 700
    assert above[first] > above[last] > above[third]
    assert below[last] == below[third] == above[third]
