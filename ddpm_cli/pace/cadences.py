"""The steps between evaluations, metrics, samples and checkpoints, given or chosen by `auto`."""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from itertools import count
from typing import Any

from ddpm_cli.pace.costs import Costs
from ddpm_cli.pace.length_scaling import scale_to_length
from ddpm_cli.training import Trainer
from ddpm_cli.training.trainer import BY_COSTS

MOST = 200  # most actions of a kind in a long run, by auto
BETWEEN = 300.0  # most seconds of steps between checkpoints, by auto: what a crash loses


@dataclass(frozen=True)
class Cadences:
    """The steps between actions of a run. The defaults are the least numbers of `auto`."""

    evaluate_every: int = 100
    measure_every: int = 500
    sample_every: int = 200
    checkpoint_every: int = 200

    def share(self, costs: Costs, steps: int) -> float:
        """The share of a run's time that the actions before its last step take."""
        beside = self.seconds(costs, steps)
        return beside / (beside + steps * costs.step)

    def seconds(self, costs: Costs, steps: int) -> float:
        """The seconds that the actions before the last step take."""
        return sum(
            max(0, steps - 1) // getattr(self, name) * cost
            for name, cost in costs.by_cadence().items()
        )

    def text(self, steps: int, *, measures: bool) -> str:
        """The actions before the last step in words; "" if there are none."""
        actions = {
            "evaluation every": self.evaluate_every,
            "metrics every": self.measure_every if measures else steps,
            "samples every": self.sample_every,
            "checkpoints every": self.checkpoint_every,
        }
        parts = [f"{each} {every:,}" for each, every in actions.items() if every < steps]
        return ", ".join([*(f"{part} steps" for part in parts[:1]), *parts[1:]])


NAMES = [field.name for field in fields(Cadences)]


def said_cadences(trainer: Trainer) -> dict[str, int]:
    """The cadences that the options give as numbers."""
    return {name: every for name in NAMES if (every := getattr(trainer, name)) != BY_COSTS}


def saved_cadences(numbers: Mapping[str, int], trainer: Any, steps: int) -> dict[str, int]:
    """The cadences of a checkpoint's run of `steps` steps.

    numbers: the cadences in the checkpoint; an older file has only the options `trainer`.
    """
    if numbers or not isinstance(trainer, dict):
        return dict(numbers)
    paced = scale_to_length(trainer, steps) if trainer.get("minutes") is not None else {}
    options = {**trainer, **paced}
    return {name: each for name in NAMES if type(each := options.get(name)) is int and each > 0}


def settled_cadences(trainer: Trainer, steps: int, saved: Mapping[str, int]) -> Cadences:
    """The numbers of steps without costs: as the options say, else as saved, else the least."""
    said = said_cadences(trainer)
    numbers = {**asdict(Cadences()), **saved, **said}
    return Cadences(**with_common_steps(numbers, set(NAMES) - said.keys(), trainer, steps))


def needs_costs(trainer: Trainer, steps: int) -> bool:
    """Whether a run is long enough for `auto` to depend on costs."""
    settled = {*said_cadences(trainer), *["measure_every"] * (not trainer.measures)}
    return any(every < steps for name, every in asdict(Cadences()).items() if name not in settled)


def chosen_cadences(costs: Costs, trainer: Trainer, steps: int) -> Cadences:
    """The cadences of a run, where those with `auto` take at most their share of the time.

    While they take more, the action with the most seconds becomes rarer. The actions after the last
    step are not counted.
    """
    said, cost, share = said_cadences(trainer), costs.by_cadence(), costs.auto_share(trainer)
    numbers = {
        name: next(round_numbers(least))
        for name, least in least_numbers(trainer, steps, costs.step).items()
        if name not in said
    }

    def seconds(name: str) -> float:
        return max(0, steps - 1) // numbers[name] * cost[name]

    while sum(map(seconds, numbers)) > share / (1 - share) * steps * costs.step:
        rarer = max(numbers, key=seconds)
        numbers[rarer] = next(round_numbers(numbers[rarer] + 1))
    return Cadences(**with_common_steps({**said, **numbers}, numbers, trainer, steps))


def least_numbers(trainer: Trainer, steps: int, seconds: float) -> dict[str, int]:
    """The least number of steps for each cadence. seconds: the time of a step.

    A run that minutes have shortened acts as often as the whole run. A long run acts at most MOST
    times. If steps are slow, checkpoints are BETWEEN seconds apart.
    """
    length = min(1.0, steps / max(1, trainer.steps)) if trainer.minutes is not None else 1.0
    least = {
        name: max(1, math.ceil(length * number), math.ceil(steps / MOST))
        for name, number in asdict(Cadences()).items()
    }
    slow = max(1, int(BETWEEN / max(seconds, 1e-6)))
    return {**least, "checkpoint_every": min(least["checkpoint_every"], slow)}


def round_numbers(least: int) -> Iterator[int]:
    """Yield 1, 2, 5, 10, 20, 50 and so on from `least` on."""
    every = (digit * 10**power for power in count() for digit in (1, 2, 5))
    return (number for number in every if number >= least)


def with_common_steps(
    numbers: Mapping[str, int], autos: Collection[str], trainer: Trainer, steps: int
) -> dict[str, int]:
    """The numbers with some of `autos` larger, so that checkpoints fall on steps that matter.

    Permanent checkpoints must be written, and best.safetensors must be a judged checkpoint. Where
    the user's numbers allow only one of the two, it is the former.
    """
    judged = "evaluate_every" if trainer.best == "held_out" else "measure_every"
    changed, save, keep = dict(numbers), "checkpoint_every", trainer.keep_every
    if save in autos and keep is not None:
        shared = 0 if judged in autos else math.gcd(keep, changed[judged])
        fits = shared >= changed[save]
        changed[save] = shared if fits else divisor(keep, changed[save])
        autos = {judged} & {*autos}
    often, seldom = sorted((judged, save), key=lambda name: changed[name])
    low, high = changed[often], changed[seldom]
    if high % low == 0 or high >= steps:
        return changed
    if often in autos:
        changed[often] = divisor(high, low)
    elif seldom in autos:
        changed[seldom] = math.ceil(high / low) * low
    return changed


def divisor(number: int, least: int) -> int:
    """The first round number from `least` on that divides `number`, or the number itself."""
    divides = (each for each in round_numbers(least) if each >= number or number % each == 0)
    return min(number, next(divides))
