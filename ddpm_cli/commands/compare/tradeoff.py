"""Cost against quality: the Pareto front, the cheapest of the good settings, and the plot."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from ddpm_cli.comparison.reference import Floor
from ddpm_cli.files import csv_text
from ddpm_cli.rendering.figure import save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GOOD = 1.05  # a distance up to this multiple of the best distance is as good


@dataclass(frozen=True)
class SettingResult:
    """The cost of a setting, and the distance of its images.

    evaluations: network evaluations for each image. seconds: the time to draw all images.
    distance: the distance of the images from the reference.
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

    @property
    def cells(self) -> tuple[str, ...]:
        """The row of the table on the screen."""
        cost = f"{self.evaluations:g}", f"{self.seconds:.1f}"
        return self.sampler, str(self.steps), *cost, f"{self.distance:.3f}"


def setting_title(sampler: str, steps: int) -> str:
    """A setting in words."""
    return f"{sampler}, {steps} step{'s' * (steps != 1)}"


def pareto_front(points: Sequence[SettingResult]) -> list[SettingResult]:
    """The settings nearer to the reference than every cheaper setting, the cheapest first."""
    front: list[SettingResult] = []
    for point in sorted(points, key=lambda each: (each.evaluations, each.distance)):
        if not front or point.distance < front[-1].distance:
            front.append(point)
    return front


def cheapest_setting(points: Sequence[SettingResult]) -> SettingResult:
    """The setting of the fewest network evaluations among those within 5% of the best."""
    front = pareto_front(points)
    return next(point for point in front if point.distance <= GOOD * front[-1].distance)


def plot_tradeoff(path: Path, points: Sequence[SettingResult], floor: Floor) -> None:
    """Write the plot of distance over network evaluations, with the floor."""
    save_figure(path, (8, 5), lambda figure: draw_tradeoff(figure.subplots(), points, floor))


def draw_tradeoff(axes: "Axes", points: Sequence[SettingResult], floor: Floor) -> None:
    """Draw the front, a line for each sampler, and the floor.

    The axes have plain numbers at 1, 2 and 5 times powers of ten.
    """
    from matplotlib.ticker import LogLocator, NullLocator

    front = [(each.evaluations, each.distance) for each in pareto_front(points)]
    axes.step(*zip(*front, strict=True), "0.8", where="post", lw=6, label="Pareto front")
    for name in dict.fromkeys(each.sampler for each in points):
        own = sorted((each.evaluations, each.distance) for each in points if each.sampler == name)
        axes.plot(*zip(*own, strict=True), marker="o", label=name)
    label = f"{floor.count:,} images of the reference to {floor.rest:,} others"
    axes.axhline(floor.distance, color="black", ls=":", label=label)
    axes.set(xscale="log", yscale="log", ylabel="Fréchet distance")
    axes.set_xlabel("network evaluations for each image")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(NullLocator())
    axes.legend()


def tradeoff_csv(points: Sequence[SettingResult]) -> str:
    """The settings as CSV, one row for each setting."""
    rows = [astuple(point) for point in points]
    return csv_text([[field.name for field in fields(SettingResult)], *rows])
