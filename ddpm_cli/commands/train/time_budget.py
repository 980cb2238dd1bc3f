"""The number of steps that fit into trainer.minutes: the first steps are timed and undone."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from ddpm_cli.checkpoints import Checkpoint, StagingBuffers, write_checkpoint
from ddpm_cli.commands.train.previews import preview_trajectory
from ddpm_cli.commands.train.run import Run
from ddpm_cli.commands.train.sample_metrics import sample_batches, score_samples
from ddpm_cli.commands.train.validation import validation_losses
from ddpm_cli.config.build import bind_options
from ddpm_cli.pace.costs import Costs
from ddpm_cli.samplers import Grid
from ddpm_cli.seeds import MAX_STEPS
from ddpm_cli.shapes import Images
from ddpm_cli.training import fit, snapshot

MARGIN = 0.1  # share of the time, for what is not timed and for a machine that gets slower
TIMING = 0.03  # share of the time to time steps, and again to time samples
FEWEST, MOST = 3, 100  # the fewest and the most steps that are timed


def steps_that_fit(run: Run, since: float) -> int:
    """The steps that fit into trainer.minutes, counted from `since`; `run` stays as it was.

    Raises ValueError if no step fits.
    """
    minutes = run.trainer.minutes
    assert minutes is not None
    costs = measure_costs(run, 60 * minutes)
    left = (1 - MARGIN) * 60 * minutes - (time.perf_counter() - since)
    steps = min(run.group.all_gather(costs.steps(left, run.trainer)))
    if steps < 1:
        grid = f"a grid of samples {costs.grid:.2g}, a checkpoint {costs.save:.2g}"
        takes = f"a step takes {costs.step:.2g} s, {grid}"
        raise ValueError(f"trainer.minutes={minutes:g} is too short: {takes}")
    return steps


def measure_costs(run: Run, seconds: float) -> Costs:
    """Time steps, a grid, a validation and a checkpoint of a run of about `seconds` seconds."""
    limit = TIMING * seconds
    with keeping_state(run):
        step = step_seconds(run, limit)
        grid = drawing_seconds(run, lambda: preview_trajectory(run), limit)
        measurement = measurement_seconds(run, limit) if run.trainer.measures else 0.0
        validation = seconds_taken(lambda: validation_losses(run))
        save = save_seconds(run) if run.group.rank == 0 else 0.0
        return Costs(step, validation, grid, save, measurement)


@contextmanager
def keeping_state(run: Run) -> Iterator[None]:
    """Restore the state when the context ends, as a resume would."""
    before = copy_of(run.snapshot())
    try:
        yield
    finally:
        snapshot.restore_snapshot(run.state, before)


def step_seconds(run: Run, limit: float) -> float:
    """Time the mean step over as many steps as fit into the limit, in seconds.

    Two steps warm up first; at least FEWEST steps are timed.
    """
    trainer, stream = replace(run.trainer, stop_at=None), run.batches_from(run.state.step)
    seed, group = run.cfg.seed, run.group
    steps = fit(trainer, run.state, stream, run.loss, steps=MAX_STEPS, seed=seed, group=group)

    def take(count: int) -> None:
        *_, last = islice(steps, count)
        bool(last.skipped)  # waits for the device

    take(1)
    wanted = round(min(MOST, max(FEWEST, limit / seconds_taken(lambda: take(1)))))
    count = group.broadcast(wanted)
    return seconds_taken(lambda: take(count)) / count


@torch.no_grad()
def drawing_seconds(run: Run, draw: Callable[[], Iterator[Images]], limit: float) -> float:
    """Time a batch of samples in seconds, extrapolated from the steps that fit into the limit."""
    grid = bind_options(Grid, run.cfg.sampler)()
    steps = len(grid.times(run.state.denoiser.diffusion)) - 1
    list(islice(draw(), 2))
    began, done = time.perf_counter(), 0
    for done, images in enumerate(draw()):
        images.cpu()
        if done and time.perf_counter() - began > limit:
            break
    return (time.perf_counter() - began) * steps / max(1, done)


def measurement_seconds(run: Run, limit: float) -> float:
    """Time the metrics of samples in seconds: the drawing, and the scoring of black images."""
    n, shape = run.trainer.measure_images, run.data.images.shape[1:]
    black = torch.zeros(len(range(n)[run.group.slice_of(n)]), *shape, dtype=torch.uint8)
    score_samples(run, [black])  # the first call extracts the features of training images
    drawing = drawing_seconds(run, lambda: next(sample_batches(run), iter(())), limit)
    scoring = seconds_taken(lambda: score_samples(run, [black]))
    return drawing * sum(1 for _ in sample_batches(run)) + scoring


def save_seconds(run: Run) -> float:
    """Time a checkpoint in seconds; a checkpoint written during training costs less."""
    copy = copy_of(run.snapshot())
    with TemporaryDirectory(dir=run.folder) as folder:
        return seconds_taken(lambda: write_checkpoint(Path(folder) / "timed", copy))


def copy_of(checkpoint: Checkpoint) -> Checkpoint:
    """A checkpoint with copies of its tensors in CPU memory."""
    tensors, complete = StagingBuffers().copy(checkpoint.tensors)
    complete()
    return replace(checkpoint, tensors=tensors)


def seconds_taken(act: Callable[[], object]) -> float:
    """The seconds that a call takes."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began
