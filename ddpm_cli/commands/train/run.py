"""The parts of one training run."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from ddpm_cli.checkpoints.async_writer import AsyncWriter
from ddpm_cli.config.build import group_options
from ddpm_cli.data import ImageSet, Rows
from ddpm_cli.evaluation.against_training import TrainingSetMetrics
from ddpm_cli.loading import Batch, Stream, StreamShare, batches, streamed_batches
from ddpm_cli.losses import Loss
from ddpm_cli.parallel import FlopCount, ProcessGroup
from ddpm_cli.run_folder.logger import RunLogger
from ddpm_cli.training import Trainer, TrainState, snapshot


@dataclass
class Run:
    """The parts of one training run, built once.

    rows: the stream that is trained on, if there is one; `data` and `held_out` are its first rows.
    steps: the length, set when all parts are there; minutes shorten the cadences of `trainer` too.
    """

    cfg: DictConfig
    folder: Path
    group: ProcessGroup
    trainer: Trainer
    state: TrainState
    loss: Loss
    data: ImageSet
    held_out: ImageSet
    rows: Rows | None
    fingerprint: str
    logger: RunLogger
    writer: AsyncWriter
    flops: FlopCount
    sample_metrics: TrainingSetMetrics
    steps: int = 0

    @property
    def epoch_size(self) -> int | None:
        """The images of an epoch, of a stream about so many; None where the number is unknown."""
        if self.rows is None:
            return len(self.data.images)
        return self.rows.count and round(self.rows.count * (1 - self.cfg.data.holdout))

    @property
    def share(self) -> Stream:
        """This process's part of every batch."""
        size = self.trainer.batch_size
        return Stream(self.data, size, self.cfg.seed, self.cfg.data.flip, self.group.slice_of(size))

    def batch(self, step: int) -> Batch:
        """The global batch of a step."""
        return replace(self.share, part=slice(None))[step]

    def stream(self, start: int) -> Iterator[Batch]:
        """This process's part of the batches from step `start` on."""
        pin, workers, group = (
            self.state.denoiser.device.type == "cuda",
            self.trainer.workers,
            self.group,
        )
        if self.rows is None:
            return batches(self.share, start=start, workers=workers, pin=pin)
        preparation, positions = group_options(self.cfg, "data"), self.state.positions
        share = StreamShare(self.rows, preparation, self.cfg.seed, group.rank, group.count)
        position = positions[group.rank] if len(positions) == group.count else ""
        part = group.slice_of(self.trainer.batch_size)
        return streamed_batches(share, part, position, threads=max(1, workers), pin=pin)

    def snapshot(self) -> dict[str, Any]:
        """What a checkpoint holds at this step."""
        shape = list(self.data.images.shape[1:])
        facts = {"shape": shape, "classes": self.data.classes, "steps": self.steps}
        return snapshot.take_snapshot(self.state, self.cfg, data=self.fingerprint, facts=facts)

    def gather_positions(self) -> None:
        """Gather where the streams of all processes go on; a checkpoint needs them."""
        if self.state.position:
            self.state.positions = self.group.all_gather(self.state.position)

    def save(self) -> None:
        """Begin a checkpoint of this step, as the best where its metric is the lowest."""
        self.writer.end()
        verdict, step = self.state.verdict, self.state.step
        if self.writer.best_lost:
            verdict.forget_best()
        # a checkpoint that only a stop brings about never competes
        regular = step % self.trainer.checkpoint_every == 0 or step == self.steps
        best = regular and verdict.best_at(step)
        self.writer.begin(self.snapshot(), best=best)
