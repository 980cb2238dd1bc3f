"""Measurements within a budget of time: kept on disk, counted, and shown by a bar."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tqdm import tqdm

from ddpm_cli.commands.tune.budget import Budget
from ddpm_cli.commands.tune.measure import TuneInputs, measure_variant
from ddpm_cli.commands.tune.results import Cost
from ddpm_cli.commands.tune.store import Measurement, MeasurementStore
from ddpm_cli.commands.tune.variant import Variant
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.metrics import Score
from ddpm_cli.shapes import Bytes
from ddpm_cli.text import duration_text

SEARCH, FRESH = 0, 1  # the images of the search, and those that it has not seen
FEWEST = 4  # settings that a search takes at least: the start and another, on either images


@dataclass
class TimedMeasure:
    """The measure of a search. Its time is that of the measurements, whenever they were made.

    denoiser: of the checkpoint itself, by which evaluations are counted. bar: of evaluations.
    is_over: whether the time did not suffice for a setting. current: the setting in use.
    """

    inputs: TuneInputs
    store: MeasurementStore
    start: Variant
    denoiser: Denoiser
    budget: Budget
    bar: "tqdm[None]"
    measurements: dict[tuple[Variant, int], Measurement] = field(default_factory=dict)
    counts: dict[Variant, int] = field(default_factory=dict)
    is_over: bool = False
    current: Variant = field(init=False)

    def __post_init__(self) -> None:
        self.current = self.start

    def evaluations(self, setting: Variant) -> int:
        """The network evaluations for an image of a setting."""
        if setting not in self.counts:
            self.counts[setting] = self.inputs.generator(setting, self.denoiser).nfe
        return self.counts[setting]

    def on_search(self, setting: Variant, plan: Sequence[Variant]) -> Score | None:
        """The score of a setting on the images of the search, if the time suffices.

        The comparison on fresh images has to fit too, of the start with this setting or with the
        setting in use.
        """
        reserve = [self.start, max(self.current, setting, key=self.evaluations)]
        if setting == self.start:
            return self.measure(setting, SEARCH, [*plan, *reserve])
        return self.measure(setting, SEARCH, [*plan, *reserve], needed=[setting, *reserve])

    def on_fresh(self, setting: Variant, plan: Sequence[Variant]) -> Score | None:
        """The score of a setting on images that the search has not seen, if the time suffices.

        The first comparison is always made: its time was reserved.
        """
        is_first = sum(part == FRESH for _, part in self.measurements) < 2
        return self.measure(setting, FRESH, plan, needed=() if is_first else plan)

    def indices(self, part: int) -> range:
        """The images of the search, or the fresh ones."""
        n = self.inputs.options.n
        return range(part * n, (part + 1) * n)

    def costs(self, part: int) -> dict[Variant, Cost]:
        """The costs of the settings measured on these images."""
        return {
            setting: Cost(self.evaluations(setting), each.seconds)
            for (setting, own), each in self.measurements.items()
            if own == part
        }

    @property
    def images(self) -> dict[Variant, Bytes]:
        """The first images of each setting, in the order of the search."""
        every = self.measurements.items()
        return {setting: each.images for (setting, part), each in every if part == SEARCH}

    def measure(
        self, setting: Variant, part: int, plan: Sequence[Variant], needed: Sequence[Variant] = ()
    ) -> Score | None:
        """Read or make a measurement; None if the settings in `needed` do not fit into the time.

        plan: the settings to come, this one included.
        """
        indices, count = self.indices(part), self.evaluations(setting)
        text = self.inputs.text(setting, indices)
        if (measurement := self.store.read(text)) is None:
            if needed and self.seconds_of(needed) > self.budget.left:
                self.is_over = True
                return None
            self.show(setting, plan)
            batches = -(-len(indices) // self.inputs.options.batch)
            steps = len(self.inputs.generator(setting, self.denoiser).times) - 1
            share = count * len(indices) / (steps * batches)
            measurement = measure_variant(
                self.inputs, setting, indices, lambda step: self.bar.update(share * step)
            )
            self.store.write(text, measurement)
        self.budget.add(measurement, count * len(indices))
        self.measurements[setting, part] = measurement
        return measurement.score

    def seconds_of(self, settings: Sequence[Variant]) -> float:
        """The seconds that settings will take."""
        n = self.inputs.options.n
        return sum(self.budget.prediction(n * self.evaluations(each)) for each in settings)

    def show(self, setting: Variant, plan: Sequence[Variant]) -> None:
        """Show what is measured, and what is left."""
        n = self.inputs.options.n
        self.bar.set_description(setting.changes_from(self.start) or "start", refresh=False)
        self.bar.total = self.bar.n + sum(n * self.evaluations(each) for each in plan)
        left = duration_text(max(0.0, self.budget.left))
        self.bar.set_postfix_str(f"{left} of the budget left", refresh=False)
        self.bar.refresh()


def check_time(inputs: TuneInputs, start: Variant, denoiser: Denoiser, left: float) -> None:
    """Refuse a time in which no change can be tried, by a step of a batch that is timed.

    left: seconds.
    """
    options, generator = inputs.options, inputs.generator(start, denoiser)
    seconds, size = float("inf"), min(options.batch, options.n)
    for _ in range(2):
        states = generator.trajectory(range(size))
        next(states)
        since = time.perf_counter()
        next(states).sum().item()
        seconds = min(seconds, time.perf_counter() - since)
    needed = FEWEST * seconds / size * options.n * generator.nfe
    if needed > left:
        takes = f"{FEWEST} settings of n={options.n} images take about {duration_text(needed)}"
        least = math.ceil((needed + options.seconds - left) / 60)
        short = f"budget={options.budget} is too short to try a change"
        raise ValueError(f"{short}: {takes}; try budget={least}min")
