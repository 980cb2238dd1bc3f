"""The length of a run that fits into a time, with all that its cadences bring."""

from bisect import bisect_right
from dataclasses import replace

from ddpm_cli.pace.cadences import chosen_cadences
from ddpm_cli.pace.costs import Costs
from ddpm_cli.pace.length_scaling import scale_to_length
from ddpm_cli.seeds import MAX_STEPS
from ddpm_cli.training import Trainer


def steps_within(seconds: float, costs: Costs, trainer: Trainer) -> int:
    """The most steps of a run by `trainer` that takes at most so many seconds; 0 if none fits."""
    lengths = range(1, MAX_STEPS)
    return bisect_right(lengths, seconds, key=lambda steps: run_seconds(steps, costs, trainer))


def run_seconds(steps: int, costs: Costs, trainer: Trainer) -> float:
    """The seconds of so many steps with their evaluations, metrics, samples and checkpoints."""
    paced = replace(trainer, **scale_to_length(vars(trainer), steps))
    before = chosen_cadences(costs, paced, steps).seconds(costs, steps)
    return steps * costs.step + before + sum(costs.by_cadence().values())
