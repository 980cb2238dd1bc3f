"""The course of a training run: steps, numbers, pictures and checkpoints, until the end, a signal or numbers that stay bad."""

import logging
import math
import shlex
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any, TypeAlias

import torch
from tqdm import tqdm

from ddpm_cli import checkpoints
from ddpm_cli.config import located
from ddpm_cli.parallel import Ranks, Vote
from ddpm_cli.runs import resume
from ddpm_cli.runs.incidents import Watch
from ddpm_cli.runs.learning import by_quarter, evaluated
from ddpm_cli.runs.measures import measured
from ddpm_cli.runs.previews import show_samples
from ddpm_cli.runs.run import Run
from ddpm_cli.training import Progress

RETRIES, RETRY_SECONDS = 60, 10
Bar: TypeAlias = Any  # tqdm's, whose type takes a parameter for mypy alone
log = logging.getLogger(__name__)


def loop(run: Run, stop: Event) -> None:
    """Trains until the end or a request to stop, going back once where the numbers stay bad."""
    with tqdm(total=run.steps, initial=run.state.step, unit=" steps", dynamic_ncols=True, disable=not run.ranks.first) as bar:
        while not advance(run, bar, stop):
            go_back(run)
            bar.n = run.state.step
            bar.refresh()


def advance(run: Run, bar: Bar, stop: Event) -> bool:
    """Trains with a bar, numbers, pictures and checkpoints; False where too many steps in a row were bad."""
    trainer, window, since = run.trainer, list[Progress](), time.perf_counter()
    watch, vote, stream = Watch(run.state, run.journal, run.ranks), Vote(run.ranks), run.stream(run.state.step)
    for progress in trainer.fit(run.state, stream, run.loss, steps=run.steps, seed=run.cfg.seed, ranks=run.ranks):
        watch.follow(progress)
        run.saver.look()
        window.append(progress)
        bar.update()
        numbers = report(run, bar, window, time.perf_counter() - since) if progress.step % trainer.log_every == 0 else {}
        window = [] if numbers else window
        if progress.step % trainer.evaluate_every == 0 or progress.step == run.steps:
            numbers |= evaluated(run)
        numbers |= measured(run)
        if numbers:
            run.journal.numbers(progress.step, numbers)
            run.state.verdict.candidate = progress.step, numbers.get(trainer.best, math.nan)
        if progress.step < run.steps:
            show_and_save(run, watch)
        if not window:
            since = time.perf_counter()
        if watch.in_a_row >= trainer.bad_steps:
            return False
        if vote(stop.is_set()):
            stop.set()
            break
    watch.look()
    return watch.in_a_row < trainer.bad_steps


def report(run: Run, bar: Bar, window: Sequence[Progress], seconds: float) -> dict[str, float]:
    """The numbers of a row, means over the steps in the window; what of them the bar shows is shown."""
    steps = [torch.stack([each.loss, each.grad_norm]).where(~each.skipped, math.nan) for each in window]
    loss, norm = torch.stack(steps).nanmean(0).tolist()
    speed = len(window) * run.trainer.batch_size / seconds
    numbers = {"loss": loss, "grad_norm": norm, "lr": window[-1].lr, "images_per_second": speed, "skipped": run.state.skipped}
    numbers |= run.work.at(speed) | by_quarter(window, run.state.denoiser.diffusion.steps, run.ranks)
    bar.set_postfix_str(told(numbers, run.count))
    return numbers


def told(numbers: Mapping[str, float], images: int | None) -> str:
    """The numbers beside the bar."""
    speed = numbers["images_per_second"]
    flops = f", {numbers['tflops']:.3g} TFLOP/s ({numbers['peak_share']:.0%} of the peak)" if "tflops" in numbers else ""
    epoch = f", {images / speed:.1f} s/epoch" if images else ""
    return f"loss {numbers['loss']:.4f}, {speed:,.0f} images/s{flops}{epoch}"


def show_and_save(run: Run, watch: Watch) -> None:
    """Pictures and a checkpoint where it is time for them; none of weights that are going bad."""
    if run.state.step % run.trainer.sample_every == 0:
        show_samples(run)
    if run.state.step % run.trainer.checkpoint_every == 0:
        watch.look()
        run.meet()
        if run.ranks.first and not watch.in_a_row:
            run.save()


def go_back(run: Run) -> None:
    """Puts the last good checkpoint back and halves the learning rate, once; ValueError where that is no remedy."""
    row, state = f"{run.trainer.bad_steps} steps in a row without finite numbers, the last step {run.state.step:,}", run.state
    run.saver.end()
    paths = run.ranks.shared(checkpoints.newest_first(run.folder))  # as the first process sees them once it has written the last
    evidence = f"the evidence is in {run.folder / 'incidents.jsonl'}"
    if state.lr_scale < 1:
        raise ValueError(f"{row}, though the learning rate was halved; the last good checkpoint stays; {evidence}")
    if not paths:
        raise ValueError(f"{row}, and no checkpoint to go back to; try a smaller trainer.optimizer.lr; {evidence}")
    path, content = resume.agreed(run.ranks, lambda: resume.newest_good(paths))
    checkpoints.restore(state, content)
    state.lr_scale = 0.5
    run.journal.cut(state.step)
    log.warning("warning: %s; back to %s with half the learning rate; %s", row, path.name, evidence)


def finish(run: Run, stop: Event, again: str) -> None:
    """The last checkpoint and pictures, and what to do next."""
    if not run.finite:
        raise ValueError(f"the weights are not finite at step {run.state.step:,}: the last good checkpoint stays; see incidents.jsonl")
    run.meet()
    path = last_checkpoint(run, stop) if run.ranks.first else None
    if run.state.step < run.steps:
        word = "stopped" if stop.is_set() else "ended"
        log.info("%-9s at step %s of %s; go on with:\n  %s", word, f"{run.state.step:,}", f"{run.steps:,}", again)
    elif run.steps:
        show_samples(run)
    run.journal.close()
    if word := run.state.verdict.told(run.trainer.best):
        log.info("learning  %s", word)
    log.info("run       %s", run.folder)
    if path:
        log.info("sample    %s", shlex.join(["ddpm-sample", located("ckpt", path)]))


def last_checkpoint(run: Run, stop: Event) -> Path:
    """Writes the last checkpoint, waiting for a full disk; ValueError where it never takes it."""
    for _ in range(1 + RETRIES):
        run.save()
        if path := run.saver.end():
            return path
        if stop.wait(RETRY_SECONDS):
            break
    raise ValueError(f"step {run.state.step:,} could not be saved in {str(run.folder)!r}; the last good checkpoint stays")


@contextmanager
def stop_requested(ranks: Ranks) -> Iterator[Event]:
    """An event that Ctrl-C, SIGTERM and SIGUSR1 (SLURM) set; a second Ctrl-C interrupts at once, as does what goes wrong after the first.

    One of several processes takes a repeated signal as one, for it comes from the terminal and from the process above, to its very end.
    """
    stop = Event()

    def request(number: int, frame: Any) -> None:
        if not stop.is_set():
            log.info("stopping after this step (%s)%s", signal.Signals(number).name, "; Ctrl-C to stop at once" * (ranks.count == 1))
        if ranks.count == 1:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        stop.set()

    before = {number: signal.signal(number, request) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield stop
    except ValueError as error:
        if not stop.is_set() or ranks.count > 1:
            raise
        log.error("error: %s", error)
        raise KeyboardInterrupt from error  # as an error of this run alone it would let a sweep go on
    finally:
        for number, handler in before.items() if ranks.count == 1 else ():
            signal.signal(number, handler)
