"""Whether a run still learns: losses on fixed noise by image, against the lowest."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ddpm_cli.shapes import Columns, Each, Indices, tensor_kinds
from ddpm_cli.training.best_checkpoint import BestCheckpoint

WORDS = ("still improving", "flat", "overfitting")
IMPROVING, FLAT, OVERFITTING = range(3)
FEWEST = 3  # validations that can show an improvement
TOO_FEW = "too few evaluations to tell"
SURE = 3.0  # a rise by more standard errors is certain
TINY = 1e-30  # keeps a loss of 0 from being divided by 0
PATIENCE = 5  # validations without a lower loss after which the loss is flat
SHOWN, LEVELS = 512, 16  # validations with their losses by time, and parts of the times


@dataclass
class Verdict:
    """The verdict of a run's validations. It is part of a checkpoint.

    word: a place in WORDS. since: the step of the lowest held-out loss. held_out, training: losses
    of each image at the step `since`. latest: the last step and its mean losses.
    best: the checkpoint with the lowest metric. by_time: losses by validation and time.
    column_steps: the steps of these validations.
    """

    word: int = IMPROVING
    since: int = 0
    held_out: Each = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))
    training: Each = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))
    best: BestCheckpoint = field(default_factory=BestCheckpoint)
    by_time: Columns = field(default_factory=lambda: torch.zeros(0, LEVELS))
    column_steps: Indices = field(default_factory=lambda: torch.zeros(0, dtype=torch.int64))
    latest: tuple[int, float, float] | None = None

    def judge(self, step: int, held_out: Each, training: Each, every: int) -> bool:
        """Update the verdict by a validation of the EMA; return whether the word changed."""
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
        elif has_risen(self.held_out, held_out) and training.mean() < self.training.mean():
            self.word = OVERFITTING
        elif step - self.since >= PATIENCE * every:
            self.word = FLAT
        return self.word != before

    def add_column(self, step: int, losses: Columns) -> None:
        """Add the losses by time of a validation, unless one of them is not finite."""
        if losses.isfinite().all():
            before = self.column_steps < step  # a step may be validated again
            by_time = torch.cat([self.by_time[before], losses])
            steps = torch.cat([self.column_steps[before], torch.tensor([step])])
            self.by_time, self.column_steps = by_time[-SHOWN:], steps[-SHOWN:]

    @property
    def is_overfitting(self) -> bool:
        """Whether the held-out loss has risen while the training loss fell."""
        return self.word == OVERFITTING

    @property
    def words(self) -> str:
        """The word and the step since which it holds; an older checkpoint counts no evaluations."""
        if self.word != IMPROVING:
            return f"{WORDS[self.word]} since step {self.since:,}"
        return TOO_FEW if 0 < len(self.column_steps) < FEWEST else WORDS[IMPROVING]

    def summary(self, by: str = "held_out") -> str:
        """The verdict in words, and the best checkpoint by a metric; "" before either exists."""
        if self.latest is None:
            return self.best.summary(by)
        step, held_out, training = self.latest
        losses = f"held-out loss {held_out:.4g}, training {training:.4g} at step {step:,}"
        return "; ".join(filter(None, [f"{self.words}: {losses}", self.best.summary(by)]))

    def state_dict(self) -> dict[str, Tensor]:
        """The verdict in the form of a checkpoint; {} before the first validation or best."""
        if not len(self.held_out) and not self.best.step:
            return {}
        steps = torch.tensor([self.word, self.since, self.best.step])
        best = torch.tensor([self.best.value] if self.best.step else [], dtype=torch.float64)
        return {
            "steps": steps,
            "held_out": self.held_out,
            "training": self.training,
            "best": best,
            "by_time": self.by_time,
            "column_steps": self.column_steps,
            "latest": torch.tensor(self.latest or (), dtype=torch.float64),
        }

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Tensor], step: int) -> "Verdict":
        """The verdict in a checkpoint at a step. Raises ValueError if the verdict is invalid."""
        if not state:
            return cls()
        mine = cls(held_out=torch.zeros(1, dtype=torch.float64)).state_dict()
        state = {"latest": mine["latest"], **state}  # which older checkpoints lack
        if "column_steps" not in state:  # nor is it known at which steps they validated
            state = {**state, **{name: mine[name] for name in ("by_time", "column_steps")}}
        fits = tensor_kinds(mine) == tensor_kinds(state)
        fits = fits and (len(state["steps"]), state["by_time"].shape[1]) == (3, LEVELS)
        fits = fits and are_steps(state["column_steps"], len(state["by_time"]), step)
        word, since, best_step = state["steps"].tolist() if fits else (-1, 0, 0)
        if not (
            0 <= word < len(WORDS)
            and 0 <= since <= step
            and 0 <= best_step <= step
            and len(state["best"]) == (best_step > 0)
            and len(state["latest"]) in (0, 3)
            and all(0 <= number <= step for number in state["latest"][:1])
        ):
            raise ValueError("the checkpoint's verdict on its run is invalid")
        value = state["best"].tolist()[0] if len(state["best"]) else math.inf
        latest = state["latest"].tolist()
        return cls(
            word,
            since,
            state["held_out"].clone(),
            state["training"].clone(),
            BestCheckpoint(value, best_step),
            state["by_time"].clone(),
            state["column_steps"].clone(),
            (int(latest[0]), latest[1], latest[2]) if latest else None,
        )


def has_risen(before: Each, after: Each) -> bool:
    """Whether the losses have risen, as they are or relative to the loss of each image.

    A few images of high loss, whose changes are large, thus do not hide a rise that all share.
    """
    change = after - before
    relative = change / (before.abs() + after.abs()).clamp(min=TINY)
    return is_above_zero(change) or is_above_zero(relative)


def is_above_zero(change: Each) -> bool:
    """Whether the mean is above 0 by more than SURE standard errors."""
    count = len(change)
    return count > 1 and bool(change.mean() > SURE * (change.var() / count).sqrt())


def are_steps(steps: Indices, count: int, last: int) -> bool:
    """Whether these are so many steps in rising order, up to the last step."""
    ends = torch.tensor([-1]), torch.tensor([last + 1])
    return len(steps) == count and bool((torch.cat([ends[0], steps, ends[1]]).diff() > 0).all())
