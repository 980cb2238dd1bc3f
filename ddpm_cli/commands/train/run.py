"""The parts of one training run."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

from omegaconf import DictConfig
from torch import nn

from ddpm_cli.averages.writer import SnapshotWriter
from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.checkpoints.async_writer import AsyncWriter
from ddpm_cli.config.build import bind_options
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.data import Preparation, StreamedTable
from ddpm_cli.evaluation.training_set_metrics import TrainingSetMetrics
from ddpm_cli.fine_tuning.initial_weights import initial_text
from ddpm_cli.hardware import FlopCount, device_text, layout_of, peak_text
from ddpm_cli.hardware.graphs import replay_on_cuda
from ddpm_cli.image_sets import ImageSet
from ddpm_cli.loading import Batch, BatchDataset, StreamShare, batches, streamed_batches
from ddpm_cli.losses import Loss
from ddpm_cli.optimizers.groups import groups_text
from ddpm_cli.pace.cadences import Cadences
from ddpm_cli.parallel import ProcessGroup, unwrap
from ddpm_cli.recipes.recipe import Recipe
from ddpm_cli.run_folder.logger import RunLogger
from ddpm_cli.training import Trainer, TrainState, snapshot
from ddpm_cli.training.step import graphs_text

ALL = slice(None)


@dataclass
class Run:
    """The parts of one training run, built once.

    share: this process's part of every batch.
    rows: the stream to train on, if any; `data` and `held_out` are then its first rows.
    steps: the length. epoch_size: the images of an epoch, approximate for a stream; None if
    unknown. Both are set when all parts are built.
    init: what is recorded of the checkpoint that the run started from; {} for drawn weights.
    origin: of weights of another program that it started from, their source and licence.
    identity: the same in all checkpoints and snapshots of the run.
    recipe: how the options with `auto` were chosen; None if they were not, or by a checkpoint.
    cadences: the steps between actions. cadences_are_final: whether no measurement changes them.
    first_preview: the step of an early preview beside the cadence; 0: none.
    """

    cfg: DictConfig
    invocation: Invocation
    group: ProcessGroup
    trainer: Trainer
    state: TrainState
    loss: Loss
    data: ImageSet
    held_out: ImageSet
    share: BatchDataset
    rows: StreamedTable | None
    fingerprint: str
    logger: RunLogger
    writer: AsyncWriter
    flops: FlopCount
    sample_metrics: TrainingSetMetrics
    init: dict[str, str]
    origin: dict[str, str] = field(default_factory=dict)
    identity: str = ""
    recipe: Recipe | None = None
    steps: int = 0
    epoch_size: int | None = None
    cadences: Cadences = field(default_factory=Cadences)
    cadences_are_final: bool = True
    first_preview: int = 0

    @property
    def folder(self) -> Path:
        """The folder that the run writes."""
        return self.invocation.folder

    @cached_property
    def snapshots(self) -> SnapshotWriter:
        """The writer of the snapshots of EMAs; its thread is that of the checkpoints."""
        is_first = self.group.rank == 0
        return SnapshotWriter(self.folder, self.state.averages, self.writer.thread, is_first)

    @cached_property
    def evaluation_networks(self) -> tuple[nn.Module, nn.Module]:
        """The EMA and the network for passes without gradients, replayed if the steps may be."""
        ema, network = self.state.ema, unwrap(self.state.denoiser.network)
        if self.trainer.graphs is False:
            return ema, network
        return replay_on_cuda(ema), replay_on_cuda(network)

    def batch(self, step: int, part: slice = ALL) -> Batch:
        """The global batch of a step, or a part of the batch."""
        return replace(self.share, part=part)[step]

    def batches_from(self, start: int) -> Iterator[Batch]:
        """This process's part of the batches from step `start` on."""
        workers, group = self.trainer.workers, self.group
        pin = self.state.denoiser.device.type == "cuda"
        if self.rows is None:
            return batches(self.share, start=start, workers=workers, pin=pin)
        preparation = bind_options(Preparation, self.cfg.data)()
        share = StreamShare(self.rows, preparation, self.cfg.seed, group.rank, group.count)
        positions = self.state.positions
        position = positions[group.rank] if len(positions) == group.count else ""
        part = group.slice_of(self.trainer.batch_size)
        return streamed_batches(share, part, position, threads=max(1, workers), pin=pin)

    def snapshot(self) -> Checkpoint:
        """The checkpoint of this step, with training's own tensors."""
        return snapshot.take_snapshot(
            self.state,
            self.cfg,
            fingerprint=self.fingerprint,
            shape=list(self.data.images.shape[1:]),
            classes=self.data.classes,
            steps=self.steps,
            cadences=asdict(self.cadences),
            verdict=self.state.verdict.summary(self.trainer.best),
            init=self.init,
            origin=self.origin,
            run=self.identity,
            overrides=self.invocation.without_init(),
            config_dir=self.invocation.config_dir,
        )

    def gather_positions(self) -> None:
        """Gather the positions of all processes in their streams, for a checkpoint."""
        if self.state.position:
            self.state.positions = self.group.all_gather(self.state.position)

    def save(self) -> None:
        """Begin a checkpoint of this step, as the best checkpoint if its metric is the lowest."""
        self.writer.end()
        best, step = self.state.verdict.best, self.state.step
        if self.writer.best_lost:
            best.forget()
        # a checkpoint caused by a stop never counts as the best
        regular = step % self.cadences.checkpoint_every == 0 or step == self.steps
        is_best = regular and best.update(step)
        self.writer.begin(self.snapshot(), best=is_best)


def run_texts(run: Run) -> dict[str, str]:
    """Device, data, schedule, model, first weights and length of a run, each in words."""
    trainer, denoiser, steps = run.trainer, run.state.denoiser, run.steps
    optimizer = run.state.optimizer
    diffusion, classes = denoiser.diffusion, len(run.data.classes)
    (count, channels, height, width), out = run.data.images.shape, len(run.held_out.images)
    size = (
        f"{height} x {width}, {channels} channel{'s' * (channels > 1)}, {classes or 'no'} classes"
    )
    if run.rows is None:
        data = f"{count:,} images, {size}; {out:,} more {'is' if out == 1 else 'are'} held out"
    else:
        many = f"about {run.epoch_size:,}" if run.epoch_size else "an unknown number of"
        data = f"{many} images, streamed, {size}; {out:,} of the first {count + out:,} are held out"
    parameters = sum(each.numel() for each in denoiser.network.parameters())
    trained = sum(each.numel() for each in denoiser.network.parameters() if each.requires_grad)
    frozen = f" ({parameters - trained:,} of them frozen)" if trained < parameters else ""
    kind = f"conditional on {classes} classes" if denoiser.conditional else "unconditional"
    epochs = f", {steps * trainer.batch_size / run.epoch_size:.1f} epochs" if run.epoch_size else ""
    why = ""
    if trainer.epochs is not None:
        why = f" (trainer.epochs={trainer.epochs} takes the place of trainer.steps)"
    if trainer.minutes is not None:
        why = f" (set by trainer.minutes={trainer.minutes:g})"
    network, snr = unwrap(denoiser.network), diffusion.snr(diffusion.steps)
    device = device_text(denoiser.device, trainer.parallel, run.group.count)
    if denoiser.device.type == "cuda":
        device += f", maps {layout_of(network)}, {graphs_text(trainer, run.state, run.group)}"
    return {
        "device": device,
        "peak": peak_text(run.flops.peak, denoiser.device, trainer.precision),
        "data": data,
        "schedule": f"{diffusion.steps:,} steps, SNR {snr:.1e} at the end",
        "model": f"{parameters:,} parameters{frozen}, predicts {denoiser.predicts}, {kind}",
        **({"init": initial_text(run.init)} if run.init else {}),
        **({"optimizer": groups_text(optimizer)} if len(optimizer.param_groups) > 1 else {}),
        "length": f"{steps:,} steps of {trainer.batch_size} images{epochs}{why}",
    }
