"""Which checkpoint of a run is the best, to which best.safetensors links."""

import math
from dataclasses import dataclass


@dataclass
class BestCheckpoint:
    """The checkpoint with the lowest metric so far.

    value: its metric. step: its step; 0 before there is one.
    candidate: the last step with a metric, and its value.
    """

    value: float = math.inf
    step: int = 0
    candidate: tuple[int, float] = (0, math.nan)

    def update(self, step: int) -> bool:
        """Take the candidate of this step if it is lower; return whether this step is the best.

        A checkpoint of the best step stays the best if it is written once more.
        """
        if self.candidate[0] == step and self.candidate[1] < self.value:
            self.value, self.step = self.candidate[1], step
        return 0 < step == self.step

    def forget(self) -> None:
        """Count no checkpoint as the best yet."""
        self.value, self.step = math.inf, 0

    def summary(self, by: str) -> str:
        """The best checkpoint by a metric, in words; "" before there is one."""
        number = "" if by == "held_out" else f" by {by}, {self.value:.4g}"
        return f"best.safetensors is of step {self.step:,}{number}" if self.step else ""
