"""The picture of held-out losses by training step and by time."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from jaxtyping import Float32

from ddpm_cli.rendering.figure import figure_picture
from ddpm_cli.rendering.tiles import Picture
from ddpm_cli.shapes import Columns, Indices

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEWEST = 3  # validations that a picture needs to show a course
HIGHEST = 2.0  # the ratio of the brightest colour
TICKS = 8  # the most steps that are written below the picture
Ratios: TypeAlias = Float32[np.ndarray, "validations levels"]


def held_out_picture(steps: Indices, by_time: Columns, times: int) -> Picture:
    """A heat map of losses by the step of the validation and by time t, of `times` times.

    A time is dark where its loss is as low as ever. Loss relative to the lowest loss of its time
    makes a rise of a few percent visible beside the fall of the first steps.
    """
    losses = by_time.clamp(min=1e-12)
    ratios = (losses / losses.amin(0)).numpy()
    return figure_picture(
        (8, 3.2), lambda figure: draw_heat_map(figure, steps.tolist(), ratios, times)
    )


def draw_heat_map(figure: "Figure", steps: Sequence[int], ratios: Ratios, times: int) -> None:
    """Draw the ratios with axes and a colour bar; clean images are above, noise is below."""
    from matplotlib.ticker import MaxNLocator

    axes, levels = figure.subplots(), ratios.shape[1]
    middles = (np.arange(levels) + 0.5) * times / levels
    mesh = axes.pcolormesh(steps, middles, ratios.T, shading="nearest", vmin=1, vmax=HIGHEST)
    axes.set(xlabel="training step", ylabel="time t", ylim=(times, 0))
    axes.xaxis.set_major_locator(MaxNLocator(TICKS, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    ends = {0: "clean  0", times: f"noise  {times:,}"}
    quarters = [times * quarter // 4 for quarter in range(5)]
    axes.set_yticks(quarters, [ends.get(time, f"{time:,}") for time in quarters])
    label = "held-out loss, in multiples of\nthe lowest loss at this time"
    bar = figure.colorbar(mesh, extend="max", label=label, ticks=[1, 1.25, 1.5, 1.75, HIGHEST])
    bar.ax.yaxis.set_major_formatter("x {x:.2f}")
