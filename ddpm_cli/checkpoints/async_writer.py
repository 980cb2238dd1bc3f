"""Checkpoints written beside training: the loop waits for a copy in memory, never for the disk."""

import logging
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import torch
from torch.optim import Optimizer

from ddpm_cli.checkpoints.folder import newest_first, write_and_prune
from ddpm_cli.checkpoints.staging import StagingBuffers

log = logging.getLogger(__name__)


def use_one_thread() -> None:
    """Keeps this thread's kernels from spreading over the cores that training computes on; threads that compute already keep theirs."""
    torch.set_num_threads(1)


@dataclass
class AsyncWriter:
    """The thread that writes the checkpoints of one run in `folder`, one at a time.

    On the CPU parameters, average and moments are copied while the next forward and backward pass run, which do not change them: it is
    the optimizer's next step that waits for the copy. On a GPU the copies to pinned memory stand before that pass in its stream.
    """

    folder: Path
    optimizer: Optimizer
    last: int
    every: int | None
    thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, "checkpoints", use_one_thread)
    )
    memory: StagingBuffers = field(default_factory=StagingBuffers)
    copied: Event = field(default_factory=Event)
    begun: tuple[int, bool, Future[Path | Exception]] | None = None
    best_lost: bool = False  # the last one that was to be the best has failed

    def __post_init__(self) -> None:
        self.copied.set()
        self.optimizer.register_step_pre_hook(lambda *_: self.hold())

    def hold(self) -> None:
        """Waits until the copy that is being taken is complete."""
        self.copied.wait()

    def begin(self, content: Mapping[str, Any], *, best: bool = False) -> None:
        """Has a checkpoint copied and written; waits for the one before, where the disk is slower than they come."""
        self.end()
        copy, complete = self.memory.copy(content)
        self.copied.clear()
        self.begun = content["step"], best, self.thread.submit(self.write, copy, complete, best)

    def write(
        self, copy: Mapping[str, Any], complete: Callable[[], None], best: bool
    ) -> Path | Exception:
        """The file, or why there is none; what goes wrong with the copy is no matter of the disk and is raised."""
        try:
            complete()
        finally:
            self.copied.set()
        try:
            return write_and_prune(
                self.folder / "checkpoints", copy, last=self.last, every=self.every, best=best
            )
        except (
            OSError,
            RuntimeError,
            ValueError,
        ) as error:  # torch tells of a full disk by either of the first two
            return error

    def poll(self) -> None:
        """Says so where a checkpoint has failed; does not wait for one that is being written."""
        if self.begun and self.begun[2].done():
            self.end()

    def end(self) -> Path | None:
        """The checkpoint that was being written, waited for; where there is none says so, and the last good one stays."""
        if self.begun is None:
            return None
        (step, best, writing), self.begun = self.begun, None
        made = writing.result()
        self.best_lost = not isinstance(made, Path) if best else self.best_lost
        if isinstance(made, Path):
            return made
        kept = next((path.name for path in newest_first(self.folder)), "none yet")
        free = shutil.disk_usage(self.folder).free / 2**20
        told = "warning: no checkpoint at step %s: %s; %.0f MiB are free; the last good one is %s; it is tried again"
        log.warning(told, f"{step:,}", " ".join(str(made).split())[:200], free, kept)
        return None
