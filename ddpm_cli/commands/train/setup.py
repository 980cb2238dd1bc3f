"""The setup of a run: build every part, cheapest first, or restore it from a checkpoint."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn
from torch.amp import GradScaler

from ddpm_cli.checkpoints import Checkpoint, agree_on_checkpoint, newest_first
from ddpm_cli.checkpoints.async_writer import AsyncWriter
from ddpm_cli.checkpoints.faults import COUNT, NAME, are_texts
from ddpm_cli.commands.train.resume import cadences_of, find_checkpoint, restore_run
from ddpm_cli.commands.train.run import Run, run_texts
from ddpm_cli.commands.train.time_budget import choose_cadences, steps_that_fit
from ddpm_cli.components import (
    WITHOUT_CLASSES,
    build_denoiser,
    build_diffusion,
    build_loss,
    build_time_sampler,
)
from ddpm_cli.config.build import bind, bind_options, build
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.console import fact
from ddpm_cli.data import Preparation, StreamedTable
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.evaluation.extractor_config import build_extractors
from ddpm_cli.evaluation.training_set_metrics import TrainingSetMetrics
from ddpm_cli.hardware import (
    SMALLER_NETWORK,
    TYPES,
    FlopCount,
    check_compiler,
    choose_layout,
    count_flops,
    data_parallel_gpus,
    find_device,
    measure_peak,
    on_device,
    prepare_for_training,
    words_for_full_memory,
)
from ddpm_cli.image_sets import ImageSet, load_image_set
from ddpm_cli.image_sets.image_set import check_labels
from ddpm_cli.loading import BatchDataset
from ddpm_cli.losses import Loss
from ddpm_cli.pace.cadences import needs_costs, settled_cadences
from ddpm_cli.pace.length_scaling import scale_to_length
from ddpm_cli.parallel import ProcessGroup, distribute
from ddpm_cli.preflight import try_parts
from ddpm_cli.run_folder.logger import RunLogger
from ddpm_cli.samplers import Grid
from ddpm_cli.seeds import Purpose, torch_seed
from ddpm_cli.train_times import TimeSampler
from ddpm_cli.training import Trainer, TrainState, try_optimizer


def set_up_run(
    cfg: DictConfig, invocation: Invocation, group: ProcessGroup, features: Mapping[str, Any]
) -> Run:
    """Build a run, or resume a run from its checkpoint; log its description, write nothing.

    features: the nodes of the features that metrics of samples take.
    """
    check_launch(cfg, group)
    folder, named, resume = invocation.folder, invocation.folder_is_named, cfg.resume
    if any(group.all_gather(group.restarts > 0)) and (not resume or newest_first(folder)):
        resume = "auto"
    checkpoint = agree_on_checkpoint(group, lambda: find_checkpoint(resume, folder, named))
    run = build_run(cfg, invocation, checkpoint, group, features)
    for label, text in run_texts(run).items():
        fact(label, text)
    if checkpoint:
        fact("resumed", f"step {run.state.step:,} of {checkpoint.path}")
    elif resume:
        fact("resumed", f"nothing: {folder} holds no checkpoint; from step 0")
    return run


def check_launch(cfg: DictConfig, group: ProcessGroup) -> None:
    """Refuse processes of torchrun that would not train together or would get no image.

    Raises ValueError also if a compiler is missing.
    """
    trainer, count = cfg.trainer, group.count
    if trainer.compile:
        check_compiler(find_device(trainer.device))
    if count > 1 and trainer.parallel != "ddp":
        which = f"trainer.parallel is {trainer.parallel!r}"
        raise ValueError(f"trainer=ddp is for {count} processes; {which}")
    if count > 1 and trainer.processes not in ("auto", 1, group.here, count):
        allowed = f"auto where torchrun has started {count}"
        raise ValueError(f"trainer.processes must be {allowed}, but is {trainer.processes}")
    check_batch_share(trainer.batch_size, count)


def check_batch_share(batch_size: int, count: int) -> None:
    """Refuse a batch that has no image for some of `count` processes."""
    if batch_size < count:
        allowed = f"at least {count}, the processes there are"
        raise ValueError(f"trainer.batch_size must be {allowed}, but is {batch_size}")


def build_run(
    cfg: DictConfig,
    invocation: Invocation,
    checkpoint: Checkpoint | None,
    group: ProcessGroup,
    features: Mapping[str, Any],
) -> Run:
    """Build every part, cheapest first, and restore the checkpoint if there is one."""
    diffusion, loss = build_diffusion(cfg), build_loss(cfg)
    trainer = build(cfg, "trainer", try_optimizer(bind(cfg, "trainer.optimizer")))
    device, preparation = find_device(trainer.device), bind_options(Preparation, cfg.data)()
    shape, time_sampler = preparation.shape, build_time_sampler(cfg, diffusion)
    bind_options(Grid, cfg.sampler)().times(diffusion)
    denoiser = initial_denoiser(cfg, diffusion, shape, classes=1)
    try_parts(denoiser, bind(cfg, "sampler"), loss, shape, perturbed=trainer.input_perturbation > 0)
    args, extractors = (features, cfg.trust, device, shape), {}
    if features:
        extractors = group.first_then_others(lambda: build_extractors(*args))
    size, folder = trainer.batch_size, invocation.folder
    data, training, held_out, rows = load_images(cfg, size, preparation, group)
    began = time.perf_counter()
    if denoiser.conditional:  # the trial of parts used one class for all
        denoiser = initial_denoiser(cfg, diffusion, shape, len(data.classes))
    per_image = count_flops(denoiser.network, shape)
    state = build_state(denoiser, trainer, device, group, loss, time_sampler, shape)
    gpus = len(data_parallel_gpus(device)) if trainer.parallel == "dp" else group.count
    peak = max(1, gpus) * measure_peak(device, TYPES[trainer.precision])
    flops = FlopCount(per_image, peak)
    share = BatchDataset(training, size, cfg.seed, cfg.data.flip, group.slice_of(size))
    same = checkpoint is not None and data.matches(checkpoint.fingerprint)
    fingerprint = checkpoint.fingerprint if checkpoint and same else data.fingerprint
    logger = RunLogger(folder, writes=group.rank == 0)
    writer = AsyncWriter(folder, state.optimizer, trainer.keep_last, trainer.keep_every)
    metrics = TrainingSetMetrics(trainer.measures, extractors, training)
    parts = trainer, state, loss, training, held_out, share, rows, fingerprint, logger, writer
    run = Run(cfg, invocation, group, *parts, flops, metrics)
    set_length(run, checkpoint, began)
    if checkpoint:
        restore_run(run, checkpoint)
    return run


def initial_denoiser(
    cfg: DictConfig, diffusion: GaussianDiffusion, shape: Sequence[int], classes: int
) -> Denoiser:
    """The denoiser before training; its weights are a function of the seed."""
    torch.manual_seed(torch_seed(cfg.seed, Purpose.WEIGHTS))
    return build_denoiser(cfg, diffusion, shape, classes)


def load_images(
    cfg: DictConfig, batch_size: int, preparation: Preparation, group: ProcessGroup
) -> tuple[ImageSet, ImageSet, ImageSet, StreamedTable | None]:
    """Load all images, those to train on and those held out; of a stream the first, and its rows.

    Raises ValueError if processes see different images.
    """
    source = group.first_then_others(lambda: build(cfg, "data"))
    conditional = cfg.model.get("conditional", False)
    if conditional and not source.classes:  # known before any decoding
        raise ValueError(WITHOUT_CLASSES)
    if not are_texts(source.classes, NAME):  # no checkpoint could hold them
        limits = f"at most {COUNT:,} with names of at most {NAME} characters"
        longest = max(source.classes, key=len)
        held = f"{len(source.classes):,}, one of {len(longest):,} characters: {longest[:20]!r} ..."
        raise ValueError(f"data: classes must be {limits}, but are {held}")
    data = load_image_set(source, preparation, copies=group.here, verbose=group.rank == 0)
    if len(set(group.all_gather(data.fingerprint))) > 1:
        raise ValueError("the processes do not see the same images (their fingerprints differ)")
    if conditional:
        check_labels(data)
    training, held_out = data.split(preparation.holdout)
    why = f" when data.holdout={preparation.holdout:g} are held out" if preparation.holdout else ""
    check_batch_size(batch_size, len(training.images), why, endless=source.rows is not None)
    return data, training, held_out, source.rows


def check_batch_size(size: int, images: int, why: str = "", *, endless: bool = False) -> None:
    """Refuse a batch larger than the data set; a stream has more images than its first rows."""
    if size > images and not (endless and images):
        allowed = f"at most {images}, the images there are{why}"
        raise ValueError(f"trainer.batch_size must be {allowed}, but is {size}")


@words_for_full_memory(SMALLER_NETWORK)
def build_state(
    denoiser: Denoiser,
    trainer: Trainer,
    device: torch.device,
    group: ProcessGroup,
    loss: Loss,
    time_sampler: TimeSampler,
    shape: Sequence[int],
) -> TrainState:
    """The state before the first step, with the network prepared for these processes."""
    module = loss.to(device) if isinstance(loss, nn.Module) else None
    count = trainer.microbatch or trainer.batch_size // group.count
    args = device, TYPES[trainer.precision], shape, count
    layout = group.broadcast(choose_layout(denoiser.network, *args, compiled=trainer.compile))
    denoiser = replace(denoiser, network=on_device(denoiser.network, device, layout))
    options: Any = {"loss_module": module, "time_sampler": time_sampler}
    state = TrainState.fresh(denoiser, trainer.optimizer, **options)
    network = prepare_for_training(
        denoiser.network,
        trainer.precision,
        compiled=trainer.compile,
        recomputed=trainer.activation_checkpointing,
        shared=trainer.parallel == "dp" or group.count > 1,
    )
    if trainer.parallel != "none":
        network = distribute(network, trainer.parallel, group)
    state.denoiser = replace(denoiser, network=network)
    # bf16 and fp32 have range enough without a scaler of the loss.
    state.scaler = GradScaler(device.type, enabled=trainer.precision == "fp16")
    return state


def set_length(run: Run, checkpoint: Checkpoint | None, began: float) -> None:
    """Set the steps of a run, and its cadences as far as no further measurement changes them.

    If minutes set the steps, the cadences that the user says are shortened in proportion. A resumed
    run keeps its cadences, and its steps with the same minutes.
    """
    trainer, run.epoch_size = run.trainer, len(run.data.images)
    if run.rows is not None:
        share = 1 - run.cfg.data.get("holdout", 0.0)
        run.epoch_size = run.rows.count and round(run.rows.count * share)
    run.steps, costs = trainer.length(run.epoch_size), None
    if trainer.minutes is not None:
        before = checkpoint and OmegaConf.select(checkpoint.config, "trainer.minutes", default=None)
        if checkpoint and before == trainer.minutes:
            run.steps = checkpoint.steps
        else:
            steps, costs = steps_that_fit(run, began)
            run.steps = (checkpoint.step if checkpoint else 0) + steps
        run.trainer = replace(trainer, **scale_to_length(vars(trainer), run.steps))
    saved = cadences_of(checkpoint) if checkpoint else {}
    run.cadences = settled_cadences(run.trainer, run.steps, saved)
    if costs and not checkpoint:
        choose_cadences(run, costs)
    elif not checkpoint:
        run.cadences_are_final = not needs_costs(run.trainer, run.steps)
