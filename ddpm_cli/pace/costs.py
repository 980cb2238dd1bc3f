"""The seconds that the parts of a run take, and the steps that fit into a time."""

from dataclasses import dataclass

from ddpm_cli.seeds import MAX_STEPS
from ddpm_cli.training import Trainer
from ddpm_cli.training.trainer import AUTO

SHARE = 0.05  # largest share of the time for all actions whose cadence is `auto`


@dataclass(frozen=True)
class Costs:
    """The seconds of a step, a validation, a grid, a checkpoint, and a metric measurement."""

    step: float
    validation: float
    grid: float
    save: float
    measurement: float = 0.0

    def by_cadence(self) -> dict[str, float]:
        """The seconds of the action at each cadence, by the option's name."""
        return {
            "evaluate_every": self.validation,
            "measure_every": self.measurement,
            "sample_every": self.grid,
            "checkpoint_every": self.save,
        }

    def auto_share(self, trainer: Trainer) -> float:
        """The largest share of the time for `auto`: an equal part of SHARE for each cadence."""
        used = [name for name, seconds in self.by_cadence().items() if seconds]
        return SHARE * sum(getattr(trainer, name) == AUTO for name in used) / max(1, len(used))

    def steps(self, seconds: float, trainer: Trainer) -> int:
        """The steps that fit into the time with their grids and checkpoints, the last included.

        A run shorter than `trainer.steps` has as many grids; a longer run has grids as often. The
        cadences with `auto` take their share of the time.
        """
        beside = sum(
            cost / every
            for name, cost in self.by_cadence().items()
            if (every := getattr(trainer, name)) != AUTO
        )
        left = seconds - sum(self.by_cadence().values())
        left *= 1 - self.auto_share(trainer)
        longer = int(left / (self.step + beside))
        shorter = int((left - trainer.steps * beside) / self.step)
        return min(MAX_STEPS - 1, longer if longer >= trainer.steps else shorter)
