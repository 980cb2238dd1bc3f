"""A run that is given minutes instead of steps: its first steps are timed and undone, and its length follows."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from ddpm_cli.checkpoints import Checkpoint, StagingBuffers, write_checkpoint
from ddpm_cli.commands.train.held_out import held_out_losses
from ddpm_cli.commands.train.previews import preview_trajectory
from ddpm_cli.commands.train.run import Run
from ddpm_cli.commands.train.sample_metrics import sample_batches, score_samples
from ddpm_cli.config.build import group_options
from ddpm_cli.seeds import LONGEST
from ddpm_cli.shapes import Images
from ddpm_cli.training import Trainer, snapshot

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
    measurement: float = 0.0

    def steps(self, seconds: float, recipe: Trainer) -> int:
        """The steps that fit into the time with their grids and checkpoints, the last ones included.

        A run that is shorter than its recipe has as many of these as the recipe; a longer one has them as often.
        """
        beside = (
            self.evaluation / recipe.evaluate_every
            + self.grid / recipe.sample_every
            + self.save / recipe.checkpoint_every
        )
        beside += self.measurement / recipe.measure_every
        left = seconds - self.evaluation - self.grid - self.save - self.measurement
        longer = int(left / (self.step + beside))
        return min(
            LONGEST - 1,
            longer if longer >= recipe.steps else int((left - recipe.steps * beside) / self.step),
        )


def steps_that_fit(run: Run, since: float) -> int:
    """The steps of a run from its first to its last samples, in trainer.minutes counted from `since`; leaves `run` as it was.

    ValueError where not even one fits.
    """
    minutes = run.trainer.minutes
    assert minutes is not None
    costs = measure_costs(run, 60 * minutes)
    left = (1 - MARGIN) * 60 * minutes - (time.perf_counter() - since)
    steps = min(run.group.all_gather(costs.steps(left, run.trainer)))
    if steps < 1:
        told = f"a step takes {costs.step:.2g} s, a grid of samples {costs.grid:.2g}, a checkpoint {costs.save:.2g}"
        raise ValueError(f"trainer.minutes={minutes:g} is too short: {told}")
    return steps


def measure_costs(run: Run, seconds: float) -> Costs:
    """Times the first steps, a grid of samples and a checkpoint of a run that takes about so many seconds."""
    with keeping_state(run):
        step = step_seconds(run, TIMING * seconds)
        grid = drawing_seconds(run, lambda: preview_trajectory(run), TIMING * seconds)
        measurement = measurement_seconds(run, TIMING * seconds) if run.trainer.measures else 0.0
        evaluation = seconds_taken(lambda: held_out_losses(run))
        return Costs(
            step, evaluation, grid, save_seconds(run) if run.group.is_first else 0.0, measurement
        )


@contextmanager
def keeping_state(run: Run) -> Iterator[None]:
    """Puts the state back afterwards, as a resume would."""
    before, complete = StagingBuffers().copy(run.content())
    complete()
    try:
        yield
    finally:
        snapshot.restore_snapshot(run.state, Checkpoint.from_content(before, run.folder, run.cfg))


def step_seconds(run: Run, limit: float) -> float:
    """The time of a step, after two to get warm: the mean of as many as fit into the limit, but of a few at least."""
    trainer = replace(run.trainer, stop_at=None)
    stream = run.stream(run.state.step)
    steps = trainer.fit(
        run.state, stream, run.loss, steps=LONGEST, seed=run.cfg.seed, group=run.group
    )

    def take(count: int) -> None:
        *_, last = islice(steps, count)
        bool(last.skipped)  # waits for the device

    take(1)
    count = run.group.broadcast(
        round(min(MOST, max(FEWEST, limit / seconds_taken(lambda: take(1)))))
    )
    return seconds_taken(lambda: take(count)) / count


@torch.no_grad()
def drawing_seconds(run: Run, draw: Callable[[], Iterator[Images]], limit: float) -> float:
    """The time of a batch of samples, of which no more is drawn than fits into the limit."""
    evaluations = len(group_options(run.cfg, "sampler").times(run.state.denoiser.diffusion)) - 1
    list(islice(draw(), 2))
    began, done = time.perf_counter(), 0
    for done, images in enumerate(draw()):
        images.cpu()
        if done and time.perf_counter() - began > limit:
            break
    return (time.perf_counter() - began) * evaluations / max(1, done)


def measurement_seconds(run: Run, limit: float) -> float:
    """The time of a measurement: of its batches of samples, and of what is found of black images in their place."""
    n = run.trainer.measure_images
    black = torch.zeros(
        len(range(n)[run.group.slice_of(n)]), *run.data.images.shape[1:], dtype=torch.uint8
    )
    score_samples(run, [black])  # the first one waits for the training images' features
    drawing = drawing_seconds(run, lambda: next(sample_batches(run), iter(())), limit)
    return drawing * sum(1 for _ in sample_batches(run)) + seconds_taken(
        lambda: score_samples(run, [black])
    )


def save_seconds(run: Run) -> float:
    """The time of a checkpoint, which nobody goes on from: longer than what it costs the steps beside which it is written."""
    copy, complete = StagingBuffers().copy(run.content())
    complete()
    with TemporaryDirectory(dir=run.folder) as folder:
        return seconds_taken(lambda: write_checkpoint(Path(folder) / "timed.pt", copy))


def seconds_taken(act: Callable[[], object]) -> float:
    """The time that something takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began
