"""The course of a training run: steps, numbers, pictures and checkpoints, until the end, a signal or numbers that stay bad."""

import math
import time
from collections.abc import Mapping, Sequence
from threading import Event
from typing import Any, TypeAlias

import torch
from tqdm import tqdm

from ddpm_cli.commands.train.held_out import evaluate_held_out, loss_by_quarter
from ddpm_cli.commands.train.nonfinite import NonFiniteGuard, roll_back
from ddpm_cli.commands.train.previews import write_preview
from ddpm_cli.commands.train.run import Run
from ddpm_cli.commands.train.sample_metrics import measure_samples
from ddpm_cli.parallel import AnyRankFlag
from ddpm_cli.training import Progress

Bar: TypeAlias = Any  # tqdm's, whose type takes a parameter for mypy alone


def train_loop(run: Run, stop: Event) -> None:
    """Trains until the end or a request to stop, going back once where the numbers stay bad."""
    with tqdm(
        total=run.steps,
        initial=run.state.step,
        unit=" steps",
        dynamic_ncols=True,
        disable=not run.group.is_first,
    ) as bar:
        while not run_steps(run, bar, stop):
            roll_back(run)
            bar.n = run.state.step
            bar.refresh()


def run_steps(run: Run, bar: Bar, stop: Event) -> bool:
    """Trains with a bar, numbers, pictures and checkpoints; False where too many steps in a row were bad."""
    trainer, window, since = run.trainer, list[Progress](), time.perf_counter()
    watch, vote, stream = (
        NonFiniteGuard(run.state, run.logger, run.group),
        AnyRankFlag(run.group),
        run.stream(run.state.step),
    )
    for progress in trainer.fit(
        run.state, stream, run.loss, steps=run.steps, seed=run.cfg.seed, group=run.group
    ):
        watch.follow(progress)
        run.writer.look()
        window.append(progress)
        bar.update()
        numbers = (
            step_numbers(run, bar, window, time.perf_counter() - since)
            if progress.step % trainer.log_every == 0
            else {}
        )
        window = [] if numbers else window
        if progress.step % trainer.evaluate_every == 0 or progress.step == run.steps:
            numbers |= evaluate_held_out(run)
        numbers |= measure_samples(run)
        if numbers:
            run.logger.numbers(progress.step, numbers)
            run.state.verdict.candidate = progress.step, numbers.get(trainer.best, math.nan)
        if progress.step < run.steps:
            preview_and_save(run, watch)
        if not window:
            since = time.perf_counter()
        if watch.in_a_row >= trainer.bad_steps:
            return False
        if vote(stop.is_set()):
            stop.set()
            break
    watch.look()
    return watch.in_a_row < trainer.bad_steps


def step_numbers(
    run: Run, bar: Bar, window: Sequence[Progress], seconds: float
) -> dict[str, float]:
    """The numbers of a row, means over the steps in the window; what of them the bar shows is shown."""
    steps = [
        torch.stack([each.loss, each.grad_norm]).where(~each.skipped, math.nan) for each in window
    ]
    loss, norm = torch.stack(steps).nanmean(0).tolist()
    speed = len(window) * run.trainer.batch_size / seconds
    numbers = {
        "loss": loss,
        "grad_norm": norm,
        "lr": window[-1].lr,
        "images_per_second": speed,
        "skipped": run.state.skipped,
    }
    numbers |= run.flops.rates(speed) | loss_by_quarter(
        window, run.state.denoiser.diffusion.steps, run.group
    )
    bar.set_postfix_str(progress_text(numbers, run.count))
    return numbers


def progress_text(numbers: Mapping[str, float], images: int | None) -> str:
    """The numbers beside the bar."""
    speed = numbers["images_per_second"]
    flops = (
        f", {numbers['tflops']:.3g} TFLOP/s ({numbers['peak_share']:.0%} of the peak)"
        if "tflops" in numbers
        else ""
    )
    epoch = f", {images / speed:.1f} s/epoch" if images else ""
    return f"loss {numbers['loss']:.4f}, {speed:,.0f} images/s{flops}{epoch}"


def preview_and_save(run: Run, watch: NonFiniteGuard) -> None:
    """Pictures and a checkpoint where it is time for them; none of weights that are going bad."""
    if run.state.step % run.trainer.sample_every == 0:
        write_preview(run)
    if run.state.step % run.trainer.checkpoint_every == 0:
        watch.look()
        run.meet()
        if run.group.is_first and not watch.in_a_row:
            run.save()
