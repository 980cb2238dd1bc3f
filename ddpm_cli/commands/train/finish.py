"""The last checkpoint, pictures and report of a run."""

import logging
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from ddpm_cli.checkpoints import newest_first
from ddpm_cli.commands.train.previews import write_preview
from ddpm_cli.commands.train.run import Run
from ddpm_cli.config.values import path_override
from ddpm_cli.reports.run_page import WRONG, write_run_page

RETRIES, RETRY_SECONDS = 60, 10
log = logging.getLogger(__name__)


def finish_run(run: Run, stop: Event, again: str) -> None:
    """The last checkpoint and pictures, and what to do next."""
    if not run.finite:
        raise ValueError(
            f"the weights are not finite at step {run.state.step:,}: the last good checkpoint stays; see incidents.jsonl"
        )
    run.meet()
    path = last_checkpoint(run, stop) if run.group.is_first else None
    if run.state.step < run.steps:
        word = "stopped" if stop.is_set() else "ended"
        log.info(
            "%-9s at step %s of %s; go on with:\n  %s",
            word,
            f"{run.state.step:,}",
            f"{run.steps:,}",
            again,
        )
    elif run.steps:
        write_preview(run)
    run.logger.close()
    if word := run.state.verdict.told(run.trainer.best):
        log.info("learning  %s", word)
    log.info("run       %s", run.folder)
    if path:
        log.info("sample    %s", shlex.join(["ddpm-sample", path_override("ckpt", path)]))


def last_checkpoint(run: Run, stop: Event) -> Path:
    """Writes the last checkpoint, waiting for a full disk; ValueError where it never takes it."""
    for _ in range(1 + RETRIES):
        run.save()
        if path := run.writer.end():
            return path
        if stop.wait(RETRY_SECONDS):
            break
    raise ValueError(
        f"step {run.state.step:,} could not be saved in {str(run.folder)!r}; the last good checkpoint stays"
    )


@contextmanager
def ending_with_report(run: Run) -> Iterator[None]:
    """Ends a run with its card, one that failed too; what goes wrong with the card ends no run badly."""
    try:
        yield
    except WRONG:
        write_report(run)
        raise
    write_report(run)


def write_report(run: Run) -> None:
    """Writes the card where there is a checkpoint, and says where it is or why there is none."""
    if not run.group.is_first or not newest_first(run.folder):
        return
    try:
        log.info(
            "report    %s", write_run_page(run.folder, run.trainer.device, list(run.cfg.trust))
        )
    except WRONG as error:
        log.warning("warning: no report.html: %s", " ".join(str(error).split())[:200])
