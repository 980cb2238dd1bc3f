"""The end of a run: its last checkpoint, pictures and report."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from threading import Event

from ddpm_cli.checkpoints import newest_first
from ddpm_cli.commands.train.previews import expected_pictures, steps_to_train, write_preview
from ddpm_cli.commands.train.run import Run
from ddpm_cli.commands.train.validation import write_held_out
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.console import fact
from ddpm_cli.process.stop_signals import NothingToSaveError
from ddpm_cli.reports.reproduce import checkpoint_to_sample
from ddpm_cli.reports.run_page import WRONG, write_run_page
from ddpm_cli.run_folder.facts import RunFacts

RETRIES, RETRY_SECONDS = 60, 10
log = logging.getLogger(__name__)


def finish_run(run: Run, stop: Event, invocation: Invocation) -> None:
    """Write the last checkpoint and pictures, and log the commands that follow from the run."""
    step, networks = f"{run.state.step:,}", (run.state.denoiser.network, run.state.ema)
    tensors = chain.from_iterable(chain(each.parameters(), each.buffers()) for each in networks)
    if not all(bool(tensor.isfinite().all()) for tensor in tensors):
        stays = "the last good checkpoint stays; see incidents.jsonl"
        raise ValueError(f"the weights are not finite at step {step}: {stays}")
    run.gather_positions()
    if run.state.step == run.steps:
        run.snapshots.begin(run.steps, run.identity)
    path = save_last(run, stop) if run.group.rank == 0 else None
    run.snapshots.end()
    if run.state.step < run.steps:
        fact(
            "stopped" if stop.is_set() else "ended", f"at step {step} of {run.steps:,}; go on with:"
        )
        log.info("  %s", invocation.resume_command())
    elif run.steps:
        write_preview(run)
    write_held_out(run)
    run.logger.close()
    if verdict := run.state.verdict.summary(run.trainer.best):
        fact("learning", verdict)
    if run.state.step == run.steps and (expected := expected_pictures(run, run.steps)):
        fact("pictures", f"{expected}; train on with:")
        log.info("  %s", invocation.longer_command(steps_to_train(run)))
    fact("run", run.folder)
    if path:
        sampled = checkpoint_to_sample(run.folder, path, run.state.verdict)
        fact("sample", invocation.sample_command(sampled))


def save_last(run: Run, stop: Event) -> Path:
    """Write the last checkpoint, and wait if the disk is full.

    Raises ValueError if no checkpoint can be written.
    """
    for _ in range(1 + RETRIES):
        run.save()
        if path := run.writer.end():
            return path
        if stop.wait(RETRY_SECONDS):
            break
    stays = "the last good checkpoint stays"
    raise ValueError(f"step {run.state.step:,} could not be saved in {str(run.folder)!r}; {stays}")


@contextmanager
def ending_with_report(run: Run, facts: RunFacts) -> Iterator[None]:
    """Record the end of a run, good or bad, and write the report, whose errors do no harm."""
    try:
        yield
    except NothingToSaveError:  # the folder goes, in which the loggers write
        run.logger.close(well=False)
        raise
    except KeyboardInterrupt:  # at once, by a second Ctrl-C
        record_end(run, facts, "stopped")
        run.logger.close(well=False)
        raise
    except WRONG as error:
        run.logger.record_full_memory(run.state.step, error)
        run.logger.close(well=False)
        record_end(run, facts, "failed")
        write_report(run)
        raise
    record_end(run, facts, "complete" if run.state.step >= run.steps else "stopped")
    write_report(run)


def record_end(run: Run, facts: RunFacts, state: str) -> None:
    """Record how and where the run has ended, for other programs."""
    if run.group.rank == 0:
        facts.record(state=state, step=run.state.step)


def write_report(run: Run) -> None:
    """Write the report if there is a checkpoint; log the report's path, or why there is none."""
    if run.group.rank > 0 or not newest_first(run.folder):
        return
    args = run.trainer.device, run.cfg.trust, run.data.images
    try:
        fact("report", write_run_page(run.folder, *args))
    except WRONG as error:
        log.warning("warning: no report.html: %s", " ".join(str(error).split())[:200])
