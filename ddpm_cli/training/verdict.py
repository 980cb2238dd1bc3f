"""Whether a run still learns: its losses on fixed noise, image by image, against those of its best evaluation."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ddpm_cli.shapes import Columns, Each

WORDS = ("still improving", "flat", "overfitting")
IMPROVING, FLAT, OVERFITTING = range(3)
SURE, PATIENCE = (
    3.0,
    5,
)  # standard errors by which the loss has risen for certain; evaluations without a better one that are flat
SHOWN, LEVELS = 512, 16  # evaluations of which losses are kept by time, and parts of the times


@dataclass
class Verdict:
    """What the evaluations of a run have come to: it goes with the checkpoint.

    word: of WORDS. since: the step of the lowest held-out loss, where the losses of each image were `held_out` and `training`.
    best: the lowest number among checkpoints, of the step `best_step`; candidate: the step of the last one, and the number.
    by_time: losses of the last evaluations by time.
    """

    word: int = IMPROVING
    since: int = 0
    held_out: Each = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))
    training: Each = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))
    best: float = math.inf
    best_step: int = 0
    by_time: Columns = field(default_factory=lambda: torch.zeros(0, LEVELS))
    latest: tuple[int, float, float] | None = None
    candidate: tuple[int, float] = (0, math.nan)

    def judge(self, step: int, held_out: Each, training: Each, every: int) -> bool:
        """Takes an evaluation of the average in; whether another word holds since."""
        before = self.word
        if not (held_out.isfinite().all() and training.isfinite().all()):
            return False
        self.latest = step, held_out.mean().item(), training.mean().item()
        if (
            self.held_out.shape != held_out.shape
            or self.training.shape != training.shape
            or held_out.mean() < self.held_out.mean()
        ):
            self.word, self.since, self.held_out, self.training = (
                IMPROVING,
                step,
                held_out,
                training,
            )
        elif has_risen(held_out - self.held_out) and training.mean() < self.training.mean():
            self.word = OVERFITTING
        elif step - self.since >= PATIENCE * every:
            self.word = FLAT
        return self.word != before

    def best_at(self, step: int) -> bool:
        """Whether the checkpoint of this step, if its number was taken, is the best; it is remembered so, should it be written again."""
        if self.candidate[0] == step and self.candidate[1] < self.best:
            self.best, self.best_step = self.candidate[1], step
        return 0 < step == self.best_step

    def forget_best(self) -> None:
        """Counts no checkpoint as the best yet."""
        self.best, self.best_step = math.inf, 0

    def told(self, by: str = "held_out") -> str:
        """The verdict in words, and which checkpoint is the best by a number; none before the first evaluation."""
        number = "" if by == "held_out" else f" by {by}, {self.best:.4g}"
        best = f"best.pt is of step {self.best_step:,}{number}" if self.best_step else ""
        if self.latest is None:
            return best
        step, held_out, training = self.latest
        since = "" if self.word == IMPROVING else f" since step {self.since:,}"
        losses = f"held-out loss {held_out:.4g}, training {training:.4g} at step {step:,}"
        return "; ".join(filter(None, [f"{WORDS[self.word]}{since}: {losses}", best]))

    @property
    def past(self) -> dict[str, Tensor]:
        """What goes with the checkpoint; {} before the first evaluation and the first best."""
        if not len(self.held_out) and not self.best_step:
            return {}
        steps = torch.tensor([self.word, self.since, self.best_step])
        best = torch.tensor([self.best] if self.best_step else [], dtype=torch.float64)
        return {
            "steps": steps,
            "held_out": self.held_out,
            "training": self.training,
            "best": best,
            "by_time": self.by_time,
        }

    @classmethod
    def recalled(cls, past: Mapping[str, Tensor], step: int) -> "Verdict":
        """The verdict in a checkpoint of a step; ValueError where it is none."""
        if not past:
            return cls()
        mine, its = (
            tensor_kinds(each)
            for each in (cls(held_out=torch.zeros(1, dtype=torch.float64)).past, past)
        )
        fits = mine == its and (len(past["steps"]), past["by_time"].shape[1]) == (3, LEVELS)
        word, since, best_step = past["steps"].tolist() if fits else (-1, 0, 0)
        if not (
            0 <= word < len(WORDS)
            and 0 <= since <= step
            and 0 <= best_step <= step
            and len(past["best"]) == (best_step > 0)
        ):
            raise ValueError("the checkpoint's verdict on its run is none")
        best = past["best"].tolist()[0] if len(past["best"]) else math.inf
        return cls(
            word,
            since,
            past["held_out"].clone(),
            past["training"].clone(),
            best,
            best_step,
            past["by_time"].clone(),
        )


def has_risen(change: Each) -> bool:
    """Whether a mean is above 0 for certain."""
    count = len(change)
    return count > 1 and bool(change.mean() > SURE * (change.var() / count).sqrt())


def tensor_kinds(tensors: Mapping[str, Tensor]) -> dict[str, tuple[torch.dtype, int]]:
    """Types and numbers of axes."""
    return {name: (tensor.dtype, tensor.ndim) for name, tensor in tensors.items()}
