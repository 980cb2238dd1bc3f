"""The course of a training run: its steps, and the actions at each cadence."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import torch
from tqdm import tqdm

from ddpm_cli.commands.train.previews import write_due_preview
from ddpm_cli.commands.train.rollback import roll_back
from ddpm_cli.commands.train.run import Run
from ddpm_cli.commands.train.sample_metrics import measure_samples
from ddpm_cli.commands.train.validation import validate
from ddpm_cli.parallel import AnyRankFlag
from ddpm_cli.parallel.stop_request import StopRequest
from ddpm_cli.training import Progress, fit
from ddpm_cli.training.loss_by_quarter import loss_by_quarter
from ddpm_cli.training.nonfinite_guard import NonFiniteGuard

Bar: TypeAlias = Any  # tqdm's type takes a parameter only for mypy


@dataclass
class RowInterval:
    """The steps since the last row of numbers, and the time at which the first step began."""

    steps: list[Progress] = field(default_factory=list)
    since: float = field(default_factory=time.perf_counter)


def train_loop(run: Run, stop: StopRequest) -> None:
    """Train until the end or a request to stop; roll back once if the numbers stay bad."""
    total, silent = run.steps, run.group.rank > 0
    with tqdm(
        total=total, initial=run.state.step, unit=" steps", dynamic_ncols=True, disable=silent
    ) as bar:
        while not run_steps(run, bar, stop):
            roll_back(run)
            bar.n = run.state.step
            bar.refresh()


def run_steps(run: Run, bar: Bar, stop: StopRequest) -> bool:
    """Train, and act at each cadence; return False after too many bad steps in a row."""
    trainer, state, interval = run.trainer, run.state, RowInterval()
    guard, stop_anywhere = NonFiniteGuard(state, run.logger, run.group), AnyRankFlag(run.group)
    # (steps between, what is measured), also at the last step; what is written, but not then
    measured: list[tuple[int, bool, Callable[[], dict[str, float]]]] = [
        (trainer.log_every, True, lambda: step_numbers(run, bar, interval)),
        (run.cadences.evaluate_every, True, lambda: validate(run)),
        (run.cadences.measure_every, True, lambda: measure_samples(run)),
    ]
    written: list[tuple[int, Callable[[], None]]] = [
        (1, lambda: write_due_preview(run)),
        (trainer.snapshot_every(run.steps), lambda: run.snapshots.begin(state.step, run.identity)),
        (run.cadences.checkpoint_every, lambda: save_unless_bad(run, guard)),
    ]
    batches, length = run.batches_from(state.step), {"steps": run.steps, "seed": run.cfg.seed}
    steps = fit(trainer, state, batches, run.loss, **length, group=run.group)
    for progress in steps:
        stop.begin()
        step, last = progress.step, progress.step == run.steps
        guard.follow(progress)
        run.writer.poll()
        interval.steps.append(progress)
        bar.update()
        due = [find for every, ends, find in measured if step % every == 0 or (ends and last)]
        if numbers := {name: number for find in due for name, number in find().items()}:
            run.logger.write_numbers(step, numbers)
            state.verdict.best.candidate = step, numbers.get(trainer.best, math.nan)
        for every, write in written:
            if step % every == 0 and not last:
                write()
        if not interval.steps:
            interval.since = time.perf_counter()
        if guard.in_a_row >= trainer.bad_steps:
            return False
        if stop_anywhere(stop.is_set()):
            stop.set()
            break
    guard.look()
    return guard.in_a_row < trainer.bad_steps


def save_unless_bad(run: Run, guard: NonFiniteGuard) -> None:
    """Save a checkpoint, unless the last steps were bad."""
    guard.look()
    run.gather_positions()
    if run.group.rank == 0 and not guard.in_a_row:
        run.save()


def step_numbers(run: Run, bar: Bar, interval: RowInterval) -> dict[str, float]:
    """The numbers of a row, means over the interval's steps; the bar shows some of the numbers.

    The last step of a run ends no interval: its row holds its own numbers, which a resume repeats.
    """
    seconds, steps, interval.steps = time.perf_counter() - interval.since, interval.steps, []
    speed = len(steps) * run.trainer.batch_size / seconds
    steps = steps if steps[-1].step % run.trainer.log_every == 0 else steps[-1:]
    rows = torch.stack([each.numbers for each in steps]).cpu()
    loss, norm = rows[rows[:, 2] == 0, :2].mean(0).tolist()
    numbers = {
        "loss": loss,
        "grad_norm": norm,
        "lr": steps[-1].lr,
        "images_per_second": speed,
        "skipped": run.state.skipped,
        **run.flops.rates(speed),
        **loss_by_quarter(steps, rows[:, 4:], run.state.denoiser.diffusion.steps, run.group),
    }
    bar.set_postfix_str(progress_text(numbers, run.epoch_size))
    return numbers


def progress_text(numbers: Mapping[str, float], epoch_size: int | None) -> str:
    """The numbers beside the bar."""
    speed, flops = numbers["images_per_second"], ""
    if "tflops" in numbers:
        share = f"{numbers['peak_share']:.0%} of the peak"
        flops = f", {numbers['tflops']:.3g} TFLOP/s ({share})"
    epoch = f", {epoch_size / speed:.1f} s/epoch" if epoch_size else ""
    return f"loss {numbers['loss']:.4f}, {speed:,.0f} images/s{flops}{epoch}"
