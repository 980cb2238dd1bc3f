"""Snapshots written beside training, by the thread that writes the checkpoints."""

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from ddpm_cli.averages.power_function import Profile
from ddpm_cli.averages.snapshots import remove_after, write_snapshot
from ddpm_cli.averages.tracking import COUNT, PowerEmas, tensors_of_length
from ddpm_cli.checkpoints import StagingBuffers
from ddpm_cli.checkpoints.faults import is_finite

log = logging.getLogger(__name__)


@dataclass
class SnapshotWriter:
    """Writes the snapshots of a run's EMAs into its folder, one step's at a time.

    The thread writes what it is given in turn: a checkpoint that is there has all snapshots up to
    its step beside it. Tensors of the CPU are copied at once, those of a GPU in its stream.
    emas: without any, nothing is written. writes: whether this process writes; only the first does.
    running: the step of the snapshots that are being written, and their result.
    """

    folder: Path
    emas: PowerEmas
    thread: Executor
    writes: bool
    buffers: StagingBuffers = field(default_factory=StagingBuffers)
    running: tuple[int, Future[Exception | None]] | None = None

    def begin(self, step: int, identity: str) -> None:
        """Begin the snapshots of this step. identity: of the run."""
        self.end()
        if not (self.writes and self.emas.networks):
            return
        tensors, complete = self.buffers.copy(self.emas.state_dict())
        if not self.emas.applied.is_cuda:
            complete()
        wait = complete if self.emas.applied.is_cuda else None
        job = self.thread.submit(self.write, tensors, wait, step, identity)
        self.running = step, job

    def write(
        self,
        tensors: Mapping[str, Tensor],
        wait: Callable[[], None] | None,
        step: int,
        identity: str,
    ) -> Exception | None:
        """Write the files, unless no step is applied yet; return an error of disk or content.

        wait: waits for the copies of a GPU's tensors.
        """
        if wait is not None:
            wait()
        applied = int(tensors[COUNT])
        if not all(map(is_finite, tensors.values())):
            return ValueError("its numbers are not finite")
        try:
            for length, network in self.emas.networks.items() if applied else ():
                buffers = [name for name, _ in network.named_buffers()]
                own = tensors_of_length(tensors, length)
                write_snapshot(self.folder, Profile(length, applied), step, identity, own, buffers)
        except OSError as error:
            return error
        return None

    def end(self) -> None:
        """Wait for the snapshots that are being written, and warn if this failed."""
        if self.running is None:
            return
        (step, job), self.running = self.running, None
        if error := job.result():
            reason = getattr(error, "strerror", None) or error
            text = "warning: no snapshot of averages at step %s: %s; training goes on"
            log.warning(text, f"{step:,}", reason)

    def rewind(self, step: int) -> None:
        """Go back to a step: remove the snapshots after it."""
        self.end()
        if self.writes:
            remove_after(self.folder, step)
