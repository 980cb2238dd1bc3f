"""Cost against quality: which settings no other one beats, which of the good ones is cheapest, and the picture of it."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from ddpm_cli.rendering.figure import save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GOOD = 1.05  # times the best distance, and less, is as good


@dataclass(frozen=True)
class SettingResult:
    """What a setting cost and what came of it.

    evaluations: of the network, for each image. seconds: of drawing all images. distance: of them from the reference.
    """

    sampler: str
    steps: int
    evaluations: float
    seconds: float
    distance: float

    @property
    def title(self) -> str:
        """The setting in words."""
        return setting_title(self.sampler, self.steps)


def setting_title(sampler: str, steps: int) -> str:
    """A setting in words."""
    return f"{sampler}, {steps} step{'s' * (steps != 1)}"


def pareto_front(points: Sequence[SettingResult]) -> list[SettingResult]:
    """The settings that are nearer to the reference than every cheaper one, cheapest first."""
    found: list[SettingResult] = []
    for point in sorted(points, key=lambda each: (each.evaluations, each.distance)):
        if not found or point.distance < found[-1].distance:
            found.append(point)
    return found


def cheapest_setting(points: Sequence[SettingResult]) -> SettingResult:
    """The setting with the fewest evaluations among those within 5% of the best distance."""
    ahead = pareto_front(points)
    return next(point for point in ahead if point.distance <= GOOD * ahead[-1].distance)


def plot_tradeoff(path: Path, points: Sequence[SettingResult], floor: float) -> None:
    """Writes the picture of distance over evaluations; `floor` is the distance of two halves of the reference."""
    save_figure(path, (8, 5), lambda figure: draw_tradeoff(figure.subplots(), points, floor))


def draw_tradeoff(axes: "Axes", points: Sequence[SettingResult], floor: float) -> None:
    """Draws the front, a line for each sampler, and the floor, on axes with plain numbers at 1, 2 and 5 times powers of ten."""
    from matplotlib.ticker import LogLocator, NullLocator

    ahead = pareto_front(points)
    axes.step(
        [each.evaluations for each in ahead],
        [each.distance for each in ahead],
        "0.8",
        where="post",
        lw=6,
        label="Pareto front",
    )
    for name in dict.fromkeys(each.sampler for each in points):
        own = sorted((each.evaluations, each.distance) for each in points if each.sampler == name)
        axes.plot(*zip(*own, strict=True), marker="o", label=name)
    axes.axhline(floor, color="black", ls=":", label="two halves of the reference")
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="network evaluations for each image",
        ylabel="Fréchet distance",
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(NullLocator())
    axes.legend()


def tradeoff_csv(points: Sequence[SettingResult]) -> str:
    """The settings as CSV, a row each."""
    text = StringIO()
    rows = csv.DictWriter(text, list(SettingResult.__annotations__), lineterminator="\n")
    rows.writeheader()
    rows.writerows(vars(point) for point in points)
    return text.getvalue()
