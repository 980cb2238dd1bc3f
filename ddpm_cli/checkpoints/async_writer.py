"""Checkpoints written during training: the loop waits for a copy in memory, never for the disk."""

import logging
import shutil
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event

import torch
from torch.optim import Optimizer

from ddpm_cli.checkpoints.checkpoint import Checkpoint
from ddpm_cli.checkpoints.folder import newest_first, write_and_prune
from ddpm_cli.checkpoints.staging import StagingBuffers
from ddpm_cli.optimizers.modes import has_modes

log = logging.getLogger(__name__)


@dataclass
class AsyncWriter:
    """The thread that writes the checkpoints of a run, one at a time.

    On the CPU the tensors are copied during the next forward and backward pass, which does not
    change them: only the next step of the optimizer waits for the copy. An optimizer that changes
    them before the pass too is waited for at once. On a GPU the copies to pinned memory precede
    that pass in its stream.
    last, every: arguments of `write_and_prune`. copied: set while no copy is under way.
    running: step of the checkpoint that is being written, whether it is the best, and its result.
    best_lost: whether the last checkpoint that was to be the best could not be written.
    """

    folder: Path
    optimizer: Optimizer
    last: int
    every: int | None
    thread: ThreadPoolExecutor = field(  # its kernels use one core, other threads keep theirs
        default_factory=lambda: ThreadPoolExecutor(1, "checkpoints", torch.set_num_threads, (1,))
    )
    buffers: StagingBuffers = field(default_factory=StagingBuffers)
    copied: Event = field(default_factory=Event)
    running: tuple[int, bool, Future[Path | Exception]] | None = None
    best_lost: bool = False

    def __post_init__(self) -> None:
        def wait_for_copy(*_: object) -> None:
            self.copied.wait()

        self.copied.set()
        self.optimizer.register_step_pre_hook(wait_for_copy)

    def begin(self, checkpoint: Checkpoint, *, best: bool = False) -> None:
        """Begin to copy and write a checkpoint, once the previous checkpoint is written."""
        self.end()
        tensors, complete = self.buffers.copy(checkpoint.tensors)
        copy = replace(checkpoint, tensors=tensors)
        self.copied.clear()
        self.running = copy.step, best, self.thread.submit(self.write, copy, complete, best)
        if has_modes(self.optimizer):
            self.copied.wait()

    def write(self, copy: Checkpoint, complete: Callable[[], None], best: bool) -> Path | Exception:
        """Write the file; return an error of the disk, but raise an error of the copy."""
        try:
            complete()
        finally:
            self.copied.set()
        try:
            return write_and_prune(self.folder, copy, last=self.last, every=self.every, best=best)
        except (OSError, ValueError) as error:  # a full disk, or content that no file may hold
            return error

    def poll(self) -> None:
        """Warn of a failed checkpoint, without waiting for a checkpoint that is being written."""
        if self.running and self.running[2].done():
            self.end()

    def end(self) -> Path | None:
        """Wait for the checkpoint that is being written; return its path, or warn if it failed."""
        if self.running is None:
            return None
        (step, best, future), self.running = self.running, None
        result = future.result()
        self.best_lost = not isinstance(result, Path) if best else self.best_lost
        if isinstance(result, Path):
            return result
        log.warning(
            "warning: no checkpoint at step %s: %s; %.0f MiB are free; "
            "the last good one is %s; it is tried again",
            f"{step:,}",
            " ".join(str(result).split())[:200],
            shutil.disk_usage(self.folder).free / 2**20,
            next((path.name for path in newest_first(self.folder)), "none yet"),
        )
        return None
