"""What a training run is made of."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from torch import nn

from ddpm_cli.checkpoints.async_writer import AsyncWriter
from ddpm_cli.config.build import group_options
from ddpm_cli.data import ImageSet, Rows
from ddpm_cli.evaluation.against_training import TrainingSetMetrics
from ddpm_cli.loading import Batch, Stream, StreamShare, batches, streamed_batches
from ddpm_cli.losses import Loss
from ddpm_cli.parallel import FlopCount, ProcessGroup
from ddpm_cli.run_folder.logger import RunLogger
from ddpm_cli.training import Trainer, TrainState, snapshot


@dataclass(frozen=True)
class Run:
    """The parts of one training run.

    rows: where the images are trained on as they are read; `data` and `held_out` are then the first of them.
    """

    cfg: DictConfig
    folder: Path
    trainer: Trainer
    state: TrainState
    loss: Loss
    data: ImageSet
    held_out: ImageSet
    fingerprint: str
    steps: int
    logger: RunLogger
    writer: AsyncWriter
    group: ProcessGroup
    flops: FlopCount
    sample_metrics: TrainingSetMetrics
    rows: Rows | None = None

    @property
    def count(self) -> int | None:
        """The images of an epoch, or about so many of a stream; None where nobody knows."""
        if self.rows is None:
            return len(self.data.images)
        return self.rows.count and round(self.rows.count * (1 - self.cfg.data.holdout))

    @property
    def share(self) -> Stream:
        """This process's part of every batch."""
        size = self.trainer.batch_size
        return Stream(self.data, size, self.cfg.seed, self.cfg.data.flip, self.group.slice_of(size))

    def batch(self, step: int) -> Batch:
        """The whole batch of a step."""
        return replace(self.share, part=slice(None))[step]

    def stream(self, start: int) -> Iterator[Batch]:
        """This process's part of the batches from step `start` on."""
        pin = self.state.denoiser.device.type == "cuda"
        if self.rows is not None:
            share = StreamShare(
                self.rows,
                group_options(self.cfg, "data"),
                self.cfg.seed,
                self.group.rank,
                self.group.count,
            )
            known = len(self.state.positions) == self.group.count
            position = self.state.positions[self.group.rank] if known else ""
            return streamed_batches(
                share,
                self.group.slice_of(self.trainer.batch_size),
                position,
                threads=max(1, self.trainer.workers),
                pin=pin,
            )
        return batches(self.share, start=start, workers=self.trainer.workers, pin=pin)

    def content(self) -> dict[str, Any]:
        """What a checkpoint would hold now."""
        facts = {
            "shape": list(self.data.images.shape[1:]),
            "classes": self.data.classes,
            "steps": self.steps,
        }
        return snapshot.take_snapshot(self.state, self.cfg, data=self.fingerprint, facts=facts)

    def meet(self) -> None:
        """Has the state know where the streams of all processes go on, as a checkpoint must; all come by."""
        if self.state.position:
            self.state.positions = self.group.all_gather(self.state.position)

    def save(self) -> None:
        """Has a checkpoint written, as the best one where it is; `saver` says what becomes of it."""
        self.writer.end()
        if self.writer.best_lost:
            self.state.verdict.forget_best()
        step = self.state.step
        regular = (
            step % self.trainer.checkpoint_every == 0 or step == self.steps
        )  # one of a stop would not be there without it
        best = regular and self.state.verdict.best_at(step)
        self.writer.begin(self.content(), best=best)

    @property
    def finite(self) -> bool:
        """Whether network and average are."""
        return all_finite(self.state.denoiser.network, self.state.ema)


def all_finite(*networks: nn.Module) -> bool:
    """Whether everything in the networks is that a checkpoint would hold."""
    tensors = chain.from_iterable(
        chain(network.parameters(), network.buffers()) for network in networks
    )
    return all(bool(tensor.isfinite().all()) for tensor in tensors)
