"""The seconds that the parts of a run take, and the steps that fit into a time."""

from dataclasses import dataclass

from ddpm_cli.seeds import MAX_STEPS
from ddpm_cli.training import Trainer


@dataclass(frozen=True)
class Costs:
    """The seconds that each part of a run takes."""

    step: float
    validation: float
    grid: float
    save: float
    measurement: float = 0.0

    def steps(self, seconds: float, trainer: Trainer) -> int:
        """The steps that fit into the time with their grids and checkpoints, the last included.

        A run shorter than `trainer.steps` has as many grids; a longer run has grids as often.
        """
        beside = self.validation / trainer.evaluate_every + self.grid / trainer.sample_every
        beside += self.save / trainer.checkpoint_every
        beside += self.measurement / trainer.measure_every
        left = seconds - self.validation - self.grid - self.save - self.measurement
        longer = int(left / (self.step + beside))
        shorter = int((left - trainer.steps * beside) / self.step)
        return min(MAX_STEPS - 1, longer if longer >= trainer.steps else shorter)
