"""A run that is given minutes instead of steps: its first steps are timed and undone, and its length follows."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from ddpm_cli import checkpoints
from ddpm_cli.config import shared
from ddpm_cli.runs.learning import losses
from ddpm_cli.runs.previews import previews
from ddpm_cli.runs.run import Run
from ddpm_cli.training import LONGEST, Trainer

MARGIN = 0.1  # of the time, kept back for what is not timed (pictures, logs, checks) and for a machine that gets slower
TIMING = 0.03  # of the time, spent on timing steps, and as much on timing samples
FEWEST, MOST = 3, 100  # steps that are timed


@dataclass(frozen=True)
class Costs:
    """What each thing takes, in seconds."""

    step: float
    evaluation: float
    grid: float
    save: float

    def steps(self, seconds: float, recipe: Trainer) -> int:
        """The steps that fit into the time with their grids and checkpoints, the last ones included.

        A run that is shorter than its recipe has as many of these as the recipe; a longer one has them as often.
        """
        beside = self.evaluation / recipe.evaluate_every + self.grid / recipe.sample_every + self.save / recipe.checkpoint_every
        left = seconds - self.evaluation - self.grid - self.save
        longer = int(left / (self.step + beside))
        return min(LONGEST - 1, longer if longer >= recipe.steps else int((left - recipe.steps * beside) / self.step))


def shortened(recipe: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """What follows the length of a run that minutes make shorter than its recipe: cadences, warm-up, the memory of the average."""
    share = steps / max(1, recipe["steps"])
    if share >= 1:
        return {}
    paced = {name: max(1, math.ceil(share * recipe[name])) for name in ("log_every", "evaluate_every", "sample_every", "checkpoint_every")}
    if recipe["checkpoint_every"] % recipe["evaluate_every"] == 0:  # so that checkpoints stay evaluated, which best.pt must be
        paced["checkpoint_every"] = paced["evaluate_every"] * recipe["checkpoint_every"] // recipe["evaluate_every"]
    return {**paced, "warmup": int(share * recipe["warmup"]), "ema": max(0.0, 1 - (1 - recipe["ema"]) / share)}


def length(run: Run, since: float) -> int:
    """The steps of a run from its first to its last samples, in trainer.minutes counted from `since`; leaves `run` as it was.

    ValueError where not even one fits.
    """
    minutes = run.trainer.minutes
    assert minutes is not None
    costs = measured(run, 60 * minutes)
    left = (1 - MARGIN) * 60 * minutes - (time.perf_counter() - since)
    steps = min(run.ranks.gathered(costs.steps(left, run.trainer)))
    if steps < 1:
        told = f"a step takes {costs.step:.2g} s, a grid of samples {costs.grid:.2g}, a checkpoint {costs.save:.2g}"
        raise ValueError(f"trainer.minutes={minutes:g} is too short: {told}")
    return steps


def measured(run: Run, seconds: float) -> Costs:
    """Times the first steps, a grid of samples and a checkpoint of a run that takes about so many seconds."""
    with undone(run):
        step = step_seconds(run, TIMING * seconds)
        grid = grid_seconds(run, TIMING * seconds)
        evaluation = seconds_of(lambda: losses(run))
        return Costs(step, evaluation, grid, save_seconds(run) if run.ranks.first else 0.0)


@contextmanager
def undone(run: Run) -> Iterator[None]:
    """Puts the state back afterwards, as a resume would."""
    before, complete = checkpoints.Memory().copy(run.content())
    complete()
    try:
        yield
    finally:
        checkpoints.restore(run.state, before)


def step_seconds(run: Run, limit: float) -> float:
    """The time of a step, after two to get warm: the mean of as many as fit into the limit, but of a few at least."""
    trainer = replace(run.trainer, stop_at=None)
    stream = run.stream(run.state.step)
    steps = trainer.fit(run.state, stream, run.loss, steps=LONGEST, seed=run.cfg.seed, ranks=run.ranks)

    def take(count: int) -> None:
        *_, last = islice(steps, count)
        bool(last.skipped)  # waits for the device

    take(1)
    count = run.ranks.shared(round(min(MOST, max(FEWEST, limit / seconds_of(lambda: take(1))))))
    return seconds_of(lambda: take(count)) / count


@torch.no_grad()
def grid_seconds(run: Run, limit: float) -> float:
    """The time of a grid of samples, of which no more is drawn than fits into the limit."""
    evaluations = len(shared(run.cfg, "sampler").times(run.state.denoiser.diffusion)) - 1
    list(islice(previews(run), 2))
    began, done = time.perf_counter(), 0
    for done, images in enumerate(previews(run)):
        images.cpu()
        if done and time.perf_counter() - began > limit:
            break
    return (time.perf_counter() - began) * evaluations / max(1, done)


def save_seconds(run: Run) -> float:
    """The time of a checkpoint, which nobody goes on from: longer than what it costs the steps beside which it is written."""
    copy, complete = checkpoints.Memory().copy(run.content())
    complete()
    with TemporaryDirectory(dir=run.folder) as folder:
        return seconds_of(lambda: checkpoints.write(Path(folder) / "timed.pt", copy))


def seconds_of(act: Callable[[], object]) -> float:
    """The time that something takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began
