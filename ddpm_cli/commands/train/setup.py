"""The setup of a run: build every part, cheapest first, or restore it from a checkpoint."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from omegaconf import DictConfig
from torch import nn
from torch.amp import GradScaler

from ddpm_cli.checkpoints import Checkpoint, agree_on_checkpoint, newest_first
from ddpm_cli.checkpoints.async_writer import AsyncWriter
from ddpm_cli.checkpoints.faults import COUNT, NAME, are_texts
from ddpm_cli.commands.train.length import set_length
from ddpm_cli.commands.train.resume import find_checkpoint, restore_run
from ddpm_cli.commands.train.run import Run, run_texts
from ddpm_cli.components import WITHOUT_CLASSES, build_diffusion, build_loss, build_time_sampler
from ddpm_cli.config.auto import auto_options, chosen_options, fill_unless_chosen, recipe_options
from ddpm_cli.config.build import bind, bind_options, build
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.console import fact
from ddpm_cli.data import Preparation, Source
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.evaluation.extractor_config import build_extractors
from ddpm_cli.evaluation.training_set_metrics import TrainingSetMetrics
from ddpm_cli.fine_tuning.initial_weights import InitialWeights, initial_weights
from ddpm_cli.fine_tuning.start import initial_denoiser
from ddpm_cli.hardware import (
    SMALLER_NETWORK,
    TYPES,
    FlopCount,
    choose_layout,
    count_flops,
    data_parallel_gpus,
    find_device,
    measure_peak,
    on_device,
    prepare_for_training,
    words_for_full_memory,
)
from ddpm_cli.loading import BatchDataset
from ddpm_cli.loading.split_images import load_split_images
from ddpm_cli.losses import Loss
from ddpm_cli.optimizers.groups import group_names
from ddpm_cli.parallel import ProcessGroup, distribute
from ddpm_cli.parallel.launch_check import check_launch
from ddpm_cli.preflight import check_options, try_parts
from ddpm_cli.recipes.changes import run_identity
from ddpm_cli.recipes.chosen_values import choose_recipe
from ddpm_cli.recipes.recipe import Recipe
from ddpm_cli.run_folder.logger import RunLogger
from ddpm_cli.samplers import Grid
from ddpm_cli.sweeps.shared_recipe import shared_recipe
from ddpm_cli.train_times import TimeSampler
from ddpm_cli.training import Trainer, TrainState, try_optimizer


def set_up_run(
    cfg: DictConfig, invocation: Invocation, group: ProcessGroup, features: Mapping[str, Any]
) -> Run:
    """Build a run, or resume a run from its checkpoint; log its description, write nothing.

    features: the nodes of the features that metrics of samples take.
    """
    fill_unless_chosen(cfg)
    check_launch(cfg, group)
    folder, named, resume = invocation.folder, invocation.folder_is_named, cfg.resume
    if any(group.all_gather(group.restarts > 0)) and (not resume or newest_first(folder)):
        resume = "auto"
    checkpoint = agree_on_checkpoint(group, lambda: find_checkpoint(resume, folder, named))
    initial = None if checkpoint else initial_weights(cfg, group)
    if checkpoint is None:
        check_options(cfg)
    source = cache(lambda: group.first_then_others(lambda: build(cfg, "data")))
    chooses = group.rank == 0 and checkpoint is None and (auto_options(cfg) or initial)
    with shared_recipe(invocation.sweep if chooses else None) as shared:
        fixed = initial.begin_job(shared, invocation.swept) if initial else {}
        recipe = choose_recipe(cfg, invocation, checkpoint, group, source, shared, fixed)
        check_launch(cfg, group)  # by what was chosen, or taken from a checkpoint or a sweep
        run = build_run(cfg, invocation, checkpoint, group, features, source, recipe, initial)
        if checkpoint:
            restore_run(run, checkpoint)
        elif initial:
            run.origin = initial.checkpoint.origin
        cfg.init = run.init.get("source")  # without its folder
        run.identity = run.identity or run_identity(cfg, run.fingerprint, run.init)
        shared.update(chosen_options(cfg) if recipe else {})
    for line in recipe.lines(recipe_options(cfg), run.steps, run.epoch_size) if recipe else []:
        fact("chosen", line)
    for label, text in run_texts(run).items():
        fact(label, text)
    if checkpoint:
        left = "" if run.state.step < run.steps else "; the run is complete, no step is left"
        fact("resumed", f"step {run.state.step:,} of {checkpoint.path}{left}")
    elif resume:
        fact("resumed", f"nothing: {folder} holds no checkpoint; from step 0")
    return run


def build_run(
    cfg: DictConfig,
    invocation: Invocation,
    checkpoint: Checkpoint | None,
    group: ProcessGroup,
    features: Mapping[str, Any],
    source: Callable[[], Source],
    recipe: Recipe | None,
    initial: InitialWeights | None,
) -> Run:
    """Build every part, cheapest first."""
    diffusion, loss = build_diffusion(cfg), build_loss(cfg)
    trainer = build(cfg, "trainer", try_optimizer(bind(cfg, "trainer.optimizer")))
    device, preparation = find_device(trainer.device), bind_options(Preparation, cfg.data)()
    shape, time_sampler = preparation.shape, build_time_sampler(cfg, diffusion)
    bind_options(Grid, cfg.sampler)().times(diffusion)
    denoiser, init = initial_denoiser(cfg, diffusion, shape, [""], initial)
    group_names(denoiser.network, module_of(loss), trainer.parameter_groups)
    try_parts(denoiser, bind(cfg, "sampler"), loss, shape, perturbed=trainer.input_perturbation > 0)
    args, extractors = (features, cfg.trust, device, shape), {}
    if features:
        extractors = group.first_then_others(lambda: build_extractors(*args))
    size, folder, images = trainer.batch_size, invocation.folder, source()
    check_classes(images, denoiser.conditional, fine_tuned=initial is not None)
    data, training, held_out = load_split_images(images, preparation, group, denoiser, size)
    began = time.perf_counter()
    if denoiser.conditional:  # the trial of parts used one class for all
        denoiser, init = initial_denoiser(cfg, diffusion, shape, data.classes, initial)
    flops = measure_flops(denoiser.network, shape, trainer, device, group)
    state = build_state(denoiser, trainer, device, group, loss, time_sampler, shape)
    share = BatchDataset(training, size, cfg.seed, cfg.data.flip, group.slice_of(size))
    same = checkpoint is not None and data.matches(checkpoint.fingerprint)
    fingerprint = checkpoint.fingerprint if checkpoint and same else data.fingerprint
    logger = RunLogger(folder, writes=group.rank == 0)
    writer = AsyncWriter(folder, state.optimizer, trainer.keep_last, trainer.keep_every)
    metrics = TrainingSetMetrics(trainer.measures, extractors, training)
    parts = trainer, state, loss, training, held_out, share, images.rows, fingerprint
    run = Run(cfg, invocation, group, *parts, logger, writer, flops, metrics, init, recipe=recipe)
    set_length(run, checkpoint, began)
    return run


def measure_flops(
    network: nn.Module,
    shape: Sequence[int],
    trainer: Trainer,
    device: torch.device,
    group: ProcessGroup,
) -> FlopCount:
    """The FLOPs of an image, and the peak of all devices of the run."""
    gpus = len(data_parallel_gpus(device)) if trainer.parallel == "dp" else group.count
    peak = max(1, gpus) * measure_peak(device, TYPES[trainer.precision])
    return FlopCount(count_flops(network, shape), peak)


def check_classes(source: Source, conditional: bool, *, fine_tuned: bool) -> None:
    """Refuse classes that are missing or that no checkpoint could hold, before any decoding."""
    if conditional and not source.classes:
        without = "; model.conditional=false fine-tunes without them" * fine_tuned
        raise ValueError(f"{WITHOUT_CLASSES}{without}")
    if not are_texts(source.classes, NAME):
        limits = f"at most {COUNT:,} with names of at most {NAME} characters"
        longest = max(source.classes, key=len)
        held = f"{len(source.classes):,}, one of {len(longest):,} characters: {longest[:20]!r} ..."
        raise ValueError(f"data: classes must be {limits}, but are {held}")


def module_of(loss: Loss) -> nn.Module:
    """The loss with parameters of its own, or a module without any."""
    return loss if isinstance(loss, nn.Module) else nn.Module()


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
    module = module_of(loss).to(device)
    count = trainer.microbatch or trainer.batch_size // group.count
    args = device, TYPES[trainer.precision], shape, count
    layout = group.broadcast(choose_layout(denoiser.network, *args, compiled=trainer.compile))
    denoiser = replace(denoiser, network=on_device(denoiser.network, device, layout))
    options: Any = {"loss_module": module, "time_sampler": time_sampler}
    options |= {name: getattr(trainer, name) for name in ("parameter_groups", "ema_lengths")}
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
