"""What the parts of a run cost, by first steps that are timed and undone, and what follows."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice, repeat
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from omegaconf import OmegaConf

from ddpm_cli.checkpoints import copy_of, write_checkpoint
from ddpm_cli.commands.train.previews import preview_trajectory
from ddpm_cli.commands.train.run import Run
from ddpm_cli.commands.train.sample_metrics import sample_batches
from ddpm_cli.commands.train.validation import validation_losses
from ddpm_cli.config.build import bind_options
from ddpm_cli.evaluation.training_set_metrics import AT_ONCE
from ddpm_cli.images import Batch
from ddpm_cli.pace.cadences import chosen_cadences
from ddpm_cli.pace.costs import Costs, seconds_taken
from ddpm_cli.pace.first_preview import first_preview
from ddpm_cli.pace.run_length import steps_within
from ddpm_cli.recipes.remedy import OPTIONS, remedy
from ddpm_cli.recipes.values import HOURS
from ddpm_cli.samplers import Grid
from ddpm_cli.seeds import MAX_STEPS
from ddpm_cli.shapes import Images
from ddpm_cli.training import fit, snapshot
from ddpm_cli.training.trainer import BY_COSTS

MARGIN = 0.1  # share of the time, for what is not timed and for a machine that gets slower
TIMING = 0.015  # share of the time to time steps, and again to time samples
FEWEST, MOST = 3, 100  # the fewest and the most steps that are timed
WARM_UP = 5  # steps on a GPU until their time is steady
BRIEF = 0.3  # seconds to time steps, and again to time samples, if a run is of so many steps
SLOW = 0.2  # seconds of a step from which the preflight's own time stands for it


def steps_that_fit(run: Run, since: float) -> tuple[int, Costs]:
    """The steps that fit into trainer.minutes, counted from `since`, and the costs of the parts.

    Without minutes a run has a night. Raises ValueError if no step fits.
    """
    given = run.trainer.minutes
    minutes, limit = (given, TIMING * 60 * given) if given is not None else (60 * HOURS, BRIEF)
    costs = measure_costs(run, limit)
    left = (1 - MARGIN) * 60 * minutes - (time.perf_counter() - since)
    steps = min(run.group.all_gather(steps_within(left, costs, run.trainer)))
    if steps < 1:
        grid = f"a grid of samples {costs.grid:.2g}, a checkpoint {costs.save:.2g}"
        takes = f"a step takes {costs.step:.2g} s, {grid}"
        options = {name: OmegaConf.select(run.cfg, name) for name in OPTIONS}
        fits = remedy(costs, options, run.trainer, left)
        raise ValueError(f"trainer.minutes={minutes:g} is too short: {takes}; {fits}")
    return steps, costs


def choose_cadences(run: Run, costs: Costs) -> None:
    """Choose the numbers of steps for `auto`, in all processes those of the first."""
    chosen = chosen_cadences(costs, run.trainer, run.steps)
    run.cadences, run.cadences_are_final = run.group.broadcast(chosen), True
    if run.trainer.sample_every == BY_COSTS:
        early = first_preview(costs, run.cadences.sample_every, run.steps)
        run.first_preview = run.group.broadcast(early)


def measure_costs_briefly(run: Run, seconds: float) -> Costs:
    """Time the parts of a run in about a second. seconds: of a step as the preflight timed it."""
    seconds = run.group.broadcast(seconds)
    batches = repeat(run.share[run.state.step])  # without starting workers or a stream
    return measure_costs(run, BRIEF, batches, step=seconds if seconds > SLOW else None)


def measure_costs(
    run: Run, limit: float, batches: Iterator[Batch] | None = None, step: float | None = None
) -> Costs:
    """Time steps, a grid, a validation and a checkpoint; `run` stays as it was.

    limit: seconds for the steps, and again for the samples. step: the seconds of a step if known.
    """
    with keeping_state(run):
        if step is None:
            step = step_seconds(run, limit, batches or run.batches_from(run.state.step))
        grid = drawing_seconds(run, lambda: preview_trajectory(run), limit)
        measurement = measurement_seconds(run, limit) if run.trainer.measures else 0.0
        if run.state.denoiser.device.type != "cpu":
            validation_losses(run)  # the first takes longer on a GPU
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


def step_seconds(run: Run, limit: float, batches: Iterator[Batch]) -> float:
    """Time the mean step over as many steps as fit into the limit, in seconds.

    Steps warm up first, WARM_UP of them on a GPU; at least FEWEST steps are timed.
    """
    trainer, seed, group = replace(run.trainer, stop_at=None), run.cfg.seed, run.group
    steps = fit(trainer, run.state, batches, run.loss, steps=MAX_STEPS, seed=seed, group=group)

    def take(count: int) -> None:
        *_, last = islice(steps, count)
        last.loss.item()  # waits for the device

    take(1 if run.state.denoiser.device.type == "cpu" else WARM_UP)
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
    """Time the metrics of samples in seconds: the drawing, and the scoring of black images.

    Features are timed on a few images. Within minutes the training images' are extracted here too.
    """
    n, metrics, group = run.trainer.measure_images, run.sample_metrics, run.group
    mine = len(range(n)[group.slice_of(n)])
    black = torch.zeros(max(1, min(mine, AT_ONCE)), *run.data.images.shape[1:], dtype=torch.uint8)
    drawing = drawing_seconds(run, lambda: next(sample_batches(run), iter(())), limit)
    drawing *= sum(1 for _ in sample_batches(run))
    few = metrics.features(black)
    extraction = seconds_taken(lambda: metrics.features(black)) * mine / len(black)
    if group.rank > 0 or not (metrics.has_references or run.trainer.minutes is not None):
        return drawing + extraction
    rows = {name: each.repeat(n // len(black) + 1, 1)[:n] for name, each in few.items()}
    metrics.scores(rows)  # the first call extracts the features of training images
    return drawing + extraction + seconds_taken(lambda: metrics.scores(rows))


def save_seconds(run: Run) -> float:
    """Time a checkpoint in seconds; a checkpoint written during training costs less."""
    copy = copy_of(run.snapshot())
    with TemporaryDirectory(dir=run.folder) as folder:
        return seconds_taken(lambda: write_checkpoint(Path(folder) / "timed", copy))
