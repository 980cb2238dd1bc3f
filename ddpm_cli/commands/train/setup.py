"""A training run as it starts or goes on: its parts, built with the cheapest first, and said on the screen."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from ddpm_cli import checkpoints, pacing
from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.checkpoints.async_writer import AsyncWriter
from ddpm_cli.commands.train import resume, time_budget
from ddpm_cli.commands.train.resume import restore_run
from ddpm_cli.commands.train.run import Run
from ddpm_cli.commands.train.summary import log_summary
from ddpm_cli.config.build import bind, build, group_options
from ddpm_cli.data import ImageSet, Preparation, Rows, load_image_set
from ddpm_cli.data.image_set import check_labels
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.evaluation.against_training import TrainingSetMetrics
from ddpm_cli.evaluation.metric_names import build_extractors
from ddpm_cli.losses import Loss
from ddpm_cli.models import (
    build_denoiser,
    build_diffusion,
    build_loss,
    build_time_sampler,
    label_count,
)
from ddpm_cli.parallel import (
    TYPES,
    FlopCount,
    ProcessGroup,
    count_flops,
    find_device,
    measure_peak,
    on_device,
    prepare_for_training,
    scaler_for,
    wrap_network,
)
from ddpm_cli.preflight import try_parts
from ddpm_cli.run_folder.logger import RunLogger
from ddpm_cli.seeds import Purpose, words_at
from ddpm_cli.train_times import TimeSampler
from ddpm_cli.training import Trainer, TrainState, try_optimizer

log = logging.getLogger(__name__)


def set_up_run(
    cfg: DictConfig, folder: Path, group: ProcessGroup, named: bool, features: Mapping[str, Any]
) -> Run:
    """A run as it starts or goes on, with these features to measure by; says what it is, writes nothing."""
    check_launch(cfg, group)
    asked = (
        "auto"
        if any(group.all_gather(group.restarts > 0))
        and (not cfg.resume or checkpoints.newest_first(folder))
        else cfg.resume
    )
    checkpoint = checkpoints.agree_on_checkpoint(
        group, lambda: resume.find_checkpoint(asked, folder, named)
    )
    run = build_run(cfg, folder, checkpoint, group, features)
    log_summary(run)
    if asked:
        told = (
            f"step {run.state.step:,} of {checkpoint.path}"
            if checkpoint
            else f"nothing: {folder} holds no checkpoint; from step 0"
        )
        log.info("resumed   %s", told)
    return run


def check_launch(cfg: DictConfig, group: ProcessGroup) -> None:
    """Refuses processes of torchrun that would not train together, and those without an image."""
    if group.count > 1 and cfg.trainer.parallel != "ddp":
        raise ValueError(
            f"trainer=ddp is for {group.count} processes; trainer.parallel is {cfg.trainer.parallel!r}"
        )
    if group.count > 1 and cfg.trainer.processes not in ("auto", 1, group.here, group.count):
        raise ValueError(
            f"trainer.processes must be auto where torchrun has started {group.count}, but is {cfg.trainer.processes}"
        )
    if cfg.trainer.batch_size < group.count:
        raise ValueError(
            f"trainer.batch_size must be at least {group.count}, the processes there are, but is {cfg.trainer.batch_size}"
        )


def build_run(
    cfg: DictConfig,
    folder: Path,
    checkpoint: Checkpoint | None,
    group: ProcessGroup,
    features: Mapping[str, Any],
) -> Run:
    """Builds every part, cheapest first, and puts back what `checkpoint` remembers."""
    diffusion, trainer = (
        build_diffusion(cfg),
        build(cfg, "trainer", try_optimizer(bind(cfg, "trainer.optimizer"))),
    )
    device, preparation, loss = (
        find_device(trainer.device),
        group_options(cfg, "data"),
        build_loss(cfg),
    )
    time_sampler = build_time_sampler(cfg, diffusion)
    group_options(cfg, "sampler").times(diffusion)
    denoiser = initial_denoiser(cfg, diffusion, preparation.shape, classes=1)
    try_parts(
        denoiser,
        bind(cfg, "sampler"),
        loss,
        preparation.shape,
        perturbed=trainer.input_perturbation > 0,
    )
    made = group.first_then_others(
        lambda: build_extractors(features, cfg.trust, device, preparation.shape)
    )
    (data, rows), began = (
        load_images(cfg, trainer.batch_size, preparation, group),
        time.perf_counter(),
    )
    if denoiser.conditional:  # one class has stood for all of them until they were known
        denoiser = initial_denoiser(cfg, diffusion, preparation.shape, len(data.classes))
    work = FlopCount(
        count_flops(denoiser.network, preparation.shape), peak_of_devices(trainer, device, group)
    )
    state = build_state(denoiser, trainer, device, group, loss, time_sampler)
    quiet, saver = (
        RunLogger(folder, None, writes=False),
        AsyncWriter(folder, state.optimizer, trainer.keep_last, trainer.keep_every),
    )
    training, held_out = data.parted(preparation.holdout)
    why = f" when data.holdout={preparation.holdout:g} are held out"
    check_batch(trainer.batch_size, len(training.images), why, endless=rows is not None)
    fingerprint = (
        checkpoint.fingerprint
        if checkpoint and data.matches(checkpoint.fingerprint)
        else data.fingerprint
    )
    gauge = TrainingSetMetrics(trainer.measures, made, training)
    run = Run(
        cfg,
        folder,
        trainer,
        state,
        loss,
        training,
        held_out,
        fingerprint,
        0,
        quiet,
        saver,
        group,
        work,
        gauge,
        rows,
    )
    run = replace(run, steps=trainer.length(run.count))
    if trainer.minutes is not None:
        steps = steps_in_minutes(run, checkpoint, began)
        run = replace(
            run,
            steps=steps,
            trainer=replace(trainer, **pacing.shorten_cadences(vars(trainer), steps)),
        )
    return restore_run(run, checkpoint) if checkpoint else run


def initial_denoiser(
    cfg: DictConfig, diffusion: GaussianDiffusion, shape: Sequence[int], classes: int
) -> Denoiser:
    """The denoiser before training, its weights a function of the seed."""
    torch.manual_seed(words_at(cfg.seed, Purpose.WEIGHTS)[0])
    return build_denoiser(cfg, diffusion, shape, classes)


def load_images(
    cfg: DictConfig, batch_size: int, preparation: Preparation, group: ProcessGroup
) -> tuple[ImageSet, Rows | None]:
    """The images, or the first of a stream and its rows; ValueError where processes see others, or there are too few for a batch."""
    source = group.first_then_others(lambda: build(cfg, "data"))
    check_batch(batch_size, source.count, endless=source.rows is not None)
    labels = label_count(
        cfg, len(source.classes)
    )  # tells before images are decoded that they have none
    data = load_image_set(source, preparation, copies=group.here, aloud=group.is_first)
    if len(set(group.all_gather(data.fingerprint))) > 1:
        raise ValueError("the processes do not see the same images (their fingerprints differ)")
    if labels:
        check_labels(data)
    return data, source.rows


def check_batch(size: int, images: int, why: str = "", *, endless: bool = False) -> None:
    """Refuses a batch of more images than there are, or of none where these are but the first of a stream."""
    if size > images and not (endless and images):
        raise ValueError(
            f"trainer.batch_size must be at most {images}, the images there are{why}, but is {size}"
        )


def peak_of_devices(trainer: Trainer, device: torch.device, group: ProcessGroup) -> float:
    """FLOP/s of all devices that the run computes on."""
    devices = (
        torch.cuda.device_count()
        if trainer.parallel == "dp" and device.type == "cuda"
        else group.count
    )
    return devices * measure_peak(device, TYPES[trainer.precision])


def build_state(
    denoiser: Denoiser,
    trainer: Trainer,
    device: torch.device,
    group: ProcessGroup,
    loss: Loss,
    time_sampler: TimeSampler,
) -> TrainState:
    """The state before the first step, with the network as these processes compute it."""
    loss_module = loss.to(device) if isinstance(loss, nn.Module) else None
    state = TrainState.fresh(
        replace(denoiser, network=on_device(denoiser.network, device)),
        trainer.optimizer,
        loss_module=loss_module,
        time_sampler=time_sampler,
    )
    network = prepare_for_training(
        denoiser.network,
        trainer.precision,
        compiled=trainer.compile,
        recomputed=trainer.activation_checkpointing,
    )
    state.denoiser = replace(denoiser, network=wrap_network(network, trainer.parallel, group))
    state.scaler = scaler_for(trainer.precision, device)
    return state


def steps_in_minutes(run: Run, checkpoint: Checkpoint | None, began: float) -> int:
    """The steps of a run that is given minutes: as before, where it goes on with the same; else those done and those that fit."""
    before = (
        OmegaConf.select(checkpoint.config, "trainer.minutes", default=None) if checkpoint else None
    )
    if checkpoint and before == run.trainer.minutes:
        return checkpoint.steps
    return (checkpoint.step if checkpoint else 0) + time_budget.steps_that_fit(run, began)
