"""The seconds that the parts of a run take."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from ddpm_cli.training import Trainer
from ddpm_cli.training.trainer import BY_COSTS

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
        return SHARE * sum(getattr(trainer, name) == BY_COSTS for name in used) / max(1, len(used))


def seconds_taken(act: Callable[[], object]) -> float:
    """The seconds that a call takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began
