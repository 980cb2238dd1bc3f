"""The training loop: a generator over steps, independent of files."""

import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import nn

from ddpm_cli.hardware import has_overflowed
from ddpm_cli.images import Batch
from ddpm_cli.losses import Loss, Noised
from ddpm_cli.parallel import ALONE, ProcessGroup, without_sync
from ddpm_cli.seeds import Purpose, torch_seed
from ddpm_cli.shapes import Flag, Indices, PerImage, Scalar, Time, Times
from ddpm_cli.training.noising import keyed_uniforms, noise_batch
from ddpm_cli.training.state import TrainState, step_optimizer, update_ema
from ddpm_cli.training.trainer import Trainer


@dataclass(frozen=True)
class Progress:
    """The numbers of one step. The tensors stay on the device until they are read.

    step: the steps done, this step included. loss, grad_norm: numbers of the global batch.
    skipped: whether loss or gradient is not finite, so that the step changed nothing.
    overflow: whether the cause is the range of fp16, to which the scaler reacts.
    losses, indices, times, weights: values of this process's images; the losses are weighted.
    """

    step: int
    loss: Scalar
    grad_norm: Scalar
    lr: float
    skipped: Flag
    overflow: Flag
    losses: PerImage
    indices: Indices
    times: Time
    weights: PerImage | float


def fit(
    trainer: Trainer,
    state: TrainState,
    batches: Iterator[Batch],
    loss: Loss,
    *,
    steps: int,
    seed: int,
    group: ProcessGroup = ALONE,
) -> Iterator[Progress]:
    """Train from `state.step` to the end, changing `state`; yield after every step.

    batches: this process's part of every batch. steps: length of the run, for the decay of the LR.
    """
    optimizer, scaler = state.optimizer, state.scaler
    end = steps if trainer.stop_at is None else min(steps, trainer.stop_at)
    for step in range(state.step, end):
        lr = set_lr(trainer, state, steps)
        batch = next(batches)
        noised, times = noise_for_training(trainer, state, batch, seed)

        optimizer.zero_grad()
        losses = backward(trainer, state, noised, loss, seed, group)
        mean = group.sum(losses.sum()) / trainer.batch_size
        scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(state.parameters, trainer.grad_clip or math.inf)

        skipped = ~(mean.isfinite() & norm.isfinite())
        overflow = has_overflowed(scaler, mean, norm)
        step_optimizer(optimizer, skipped)
        decay = min(trainer.ema, (1 + step) / (10 + step))
        update_ema(state.ema, state.denoiser.network, decay, skipped)
        scaler.update()

        state.step, state.position = step + 1, batch.position
        state.history.follow(times, batch.first, losses / noised.weight, group)
        per_image = losses, batch.indices, noised.t, noised.weight
        yield Progress(step + 1, mean, norm, lr, skipped, overflow, *per_image)


def set_lr(trainer: Trainer, state: TrainState, steps: int) -> float:
    """Set the learning rate of the next step; return the rate of the first group of parameters.

    A scheduler of torch would warn if fp16's first step overflows.
    """
    factor = state.lr_scale * trainer.lr_factor(state.step, steps)
    for options in state.optimizer.param_groups:
        options["lr"] = options.setdefault("initial_lr", options["lr"]) * factor
    return float(state.optimizer.param_groups[0]["lr"])


def noise_for_training(
    trainer: Trainer, state: TrainState, batch: Batch, seed: int
) -> tuple[Noised, Times]:
    """Noise the next batch by the options; return also the times of the global batch."""
    u = keyed_uniforms(seed, Purpose.TIMES, state.step, trainer.batch_size)
    times = state.time_sampler(u, state.history)
    noised = noise_batch(
        state.denoiser,
        batch,
        seed,
        state.step,
        state.denoiser.device,
        times=times,
        label_dropout=trainer.label_dropout,
        offset_noise=trainer.offset_noise,
        input_perturbation=trainer.input_perturbation,
    )
    return noised, times[0]


def backward(
    trainer: Trainer, state: TrainState, batch: Noised, loss: Loss, seed: int, group: ProcessGroup
) -> PerImage:
    """Compute the gradient of the global batch's mean loss; return the losses of this process.

    DistributedDataParallel takes the mean over the processes, hence the factor `group.count`. The
    processes exchange gradients with the last microbatch.
    """
    network, scaler, losses = state.denoiser.network, state.scaler, []
    parts = list(batch.split(trainer.microbatch or len(batch.x0)))
    for place, part in enumerate(parts):
        torch.manual_seed(torch_seed(seed, Purpose.DROPOUT, state.step, group.rank, place))
        with without_sync(network) if place < len(parts) - 1 else nullcontext():
            losses.append(part.weight * loss(state.denoiser, part))
            mean = losses[-1].sum() * (group.count / trainer.batch_size)
            scaler.scale(mean).backward()  # type: ignore[no-untyped-call]
    for parameter in state.loss_module.parameters():
        grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        parameter.grad = group.sum(grad) / group.count
    return torch.cat(losses).detach()
