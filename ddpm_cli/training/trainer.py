"""The training loop: a generator over steps that knows no files."""

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import KW_ONLY, dataclass
from typing import Literal

import torch
from torch import nn
from torch.optim import Optimizer

from ddpm_cli.config.values import at_least
from ddpm_cli.loading import Batch
from ddpm_cli.losses import Loss, Noised
from ddpm_cli.parallel import ALONE, Precision, ProcessGroup, has_overflowed, without_sync
from ddpm_cli.seeds import LONGEST, Purpose, words_at
from ddpm_cli.shapes import Flag, Indices, PerImage, Scalar, Time
from ddpm_cli.train_times import SampledTimes
from ddpm_cli.training.noising import noise_batch
from ddpm_cli.training.optimizers import step_unless
from ddpm_cli.training.state import TrainState, update_ema

CADENCES = (
    "log_every",
    "evaluate_every",
    "measure_every",
    "sample_every",
    "checkpoint_every",
    "keep_every",
)
POSITIVE = ("batch_size", "microbatch", "processes", "bad_steps", "keep_last", *CADENCES)
FROM_ZERO = ("steps", "warmup", "epochs", "stop_at", "workers")
LR_SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda done: 1.0,
    "linear": lambda done: 1 - done,
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
}


@dataclass(frozen=True)
class Progress:
    """What one step measured: tensors on the device, read only when they are logged.

    loss and grad_norm are of the global batch. skipped: they were not finite, so that the step was not applied;
    overflow: because fp16 was left, which its scaler answers.
    losses: of this process's images, whose indices are `indices`, times the weights that their times came with.
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


@dataclass(frozen=True)
class Trainer:
    """The recipe of a training run.

    steps, or epochs or minutes in its place: the length, over which the LR decays; stop_at ends earlier and changes nothing else.
    batch_size: images in a step, of all processes together. microbatch: images that go through the network at once, for memory;
    processes, with parallel=ddp; workers: processes that prepare batches. The step is the same but for rounding and dropout's masks.
    precision: of the network, bf16 and fp16 under autocast; compile: by torch.compile; activation_checkpointing: memory for time.
    lr_schedule: after `warmup` steps of linear rise. grad_clip: largest norm of the gradient, null for none.
    label_dropout: the share of the labels kept from a conditional network.
    offset_noise, input_perturbation: of `noised`. ema: the decay of the average of the weights, which is sampled.
    bad_steps: steps in a row without finite numbers before the run goes back to its last checkpoint.
    log_every, evaluate_every, measure_every, sample_every, checkpoint_every: in steps.
    measures: of measure_images samples, fd_X and kid_X with X a choice of the group features.
    best: the number whose lowest makes best.pt, held_out or one of measures.
    keep_last: newest checkpoints kept; keep_every: steps between those kept for good.
    """

    optimizer: Callable[..., Optimizer]
    _: KW_ONLY
    device: str
    parallel: Literal["none", "dp", "ddp"]
    processes: int | Literal["auto"]
    workers: int
    steps: int
    epochs: int | None
    minutes: float | None
    stop_at: int | None
    batch_size: int
    microbatch: int | None
    precision: Precision
    compile: bool
    activation_checkpointing: bool
    lr_schedule: Literal["constant", "linear", "cosine"]
    warmup: int
    grad_clip: float | None
    label_dropout: float
    offset_noise: float
    input_perturbation: float
    ema: float
    bad_steps: int
    log_every: int
    evaluate_every: int
    measures: list[str]
    measure_every: int
    measure_images: int
    best: str
    sample_every: int
    checkpoint_every: int
    keep_last: int
    keep_every: int | None

    def __post_init__(self) -> None:
        at_least(
            self, **dict.fromkeys(POSITIVE, 1), **dict.fromkeys(FROM_ZERO, 0), measure_images=2
        )
        if self.best not in (known := ["held_out", *self.measures]):
            raise ValueError(
                f"best must be one of {', '.join(known)} (trainer.measures adds others), but is {self.best!r}"
            )
        if self.parallel != "ddp" and self.processes != 1:
            raise ValueError(
                f"processes={self.processes} needs trainer=ddp, but parallel is {self.parallel!r}"
            )
        if self.minutes is not None and (self.epochs is not None or not self.minutes > 0):
            raise ValueError(
                f"minutes must be positive and without epochs, but they are {self.minutes} and {self.epochs}"
            )
        if self.parallel == "dp" and self.compile:
            raise ValueError("compile=true does not go with trainer=dp; use trainer=ddp")
        if self.steps >= LONGEST:
            raise ValueError(
                f"steps must be less than {LONGEST:,}, but is {self.steps}; trainer.stop_at ends a long run early"
            )
        if not 0 <= self.label_dropout <= 1:
            raise ValueError(f"label_dropout must be between 0 and 1, but is {self.label_dropout}")
        if min(self.offset_noise, self.input_perturbation) < 0:
            told = f"they are {self.offset_noise} and {self.input_perturbation}"
            raise ValueError(f"offset_noise and input_perturbation must be at least 0, but {told}")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema must be at least 0 and less than 1, but is {self.ema}")
        if self.grad_clip is not None and not self.grad_clip > 0:
            raise ValueError(f"grad_clip must be positive or null, but is {self.grad_clip}")

    def length(self, images: int | None) -> int:
        """The steps of the whole run over a data set of so many images, if that is known, where no minutes set them."""
        if self.epochs is not None and images is None:
            raise ValueError(
                f"trainer.epochs={self.epochs} needs the number of images, which the stream does not tell; give steps"
            )
        return (
            self.steps
            if self.epochs is None or images is None
            else math.ceil(self.epochs * images / self.batch_size)
        )

    def lr_factor(self, step: int, steps: int) -> float:
        """What the learning rate is multiplied with: a function of (step, steps) alone."""
        return min(1.0, (step + 1) / (self.warmup + 1)) * LR_SCHEDULES[self.lr_schedule](
            step / max(1, steps)
        )

    def fit(
        self,
        state: TrainState,
        batches: Iterator[Batch],
        loss: Loss,
        *,
        steps: int,
        seed: int,
        group: ProcessGroup = ALONE,
    ) -> Iterator[Progress]:
        """Trains from `state.step` to the end, changing `state`; yields after every step. `batches`: this process's part of each."""
        param_groups = state.optimizer.param_groups
        for options in param_groups:
            options.setdefault("initial_lr", options["lr"])
        for step in range(state.step, steps if self.stop_at is None else min(steps, self.stop_at)):
            factor = state.lr_scale * self.lr_factor(step, steps)
            for options in param_groups:
                options["lr"] = (
                    options["initial_lr"] * factor
                )  # a scheduler of torch's warns where fp16's first step overflows
            taken, drawn = next(batches), state.sample_times(seed, self.batch_size)
            batch = self.noised(state, taken, seed, drawn)
            losses, mean, norm, skipped, overflow = self.advance(state, batch, loss, seed, group)
            state.remember(drawn, taken.first, losses / batch.weight, group)
            state.position = taken.position
            yield Progress(
                state.step,
                mean,
                norm,
                float(param_groups[0]["lr"]),
                skipped,
                overflow,
                losses,
                taken.indices,
                batch.t,
                batch.weight,
            )

    def noised(self, state: TrainState, batch: Batch, seed: int, drawn: SampledTimes) -> Noised:
        """The next batch at the times that were drawn for all of it, with the noise of this recipe."""
        place = seed, state.step, state.denoiser.device
        kept, offset, perturbation = self.label_dropout, self.offset_noise, self.input_perturbation
        return noise_batch(
            state.denoiser,
            batch,
            *place,
            drawn=drawn,
            label_dropout=kept,
            offset_noise=offset,
            input_perturbation=perturbation,
        )

    def advance(
        self, state: TrainState, batch: Noised, loss: Loss, seed: int, group: ProcessGroup
    ) -> tuple[PerImage, Scalar, Scalar, Flag, Flag]:
        """One step of the optimizer and of the average, applied only where loss and gradient are finite."""
        network, optimizer = state.denoiser.network, state.optimizer
        optimizer.zero_grad()
        losses = self.backward(state, batch, loss, seed, group)
        mean = group.sum(losses.sum()) / self.batch_size
        state.scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(
            state.learned, math.inf if self.grad_clip is None else self.grad_clip
        )
        skipped, overflow = (
            ~(mean.isfinite() & norm.isfinite()),
            has_overflowed(state.scaler, mean, norm),
        )
        step_unless(skipped, optimizer)
        update_ema(state.ema, network, min(self.ema, (1 + state.step) / (10 + state.step)), skipped)
        state.scaler.update()
        state.step += 1
        return losses, mean, norm, skipped, overflow

    def backward(
        self, state: TrainState, batch: Noised, loss: Loss, seed: int, group: ProcessGroup
    ) -> PerImage:
        """The losses of this process's images; the gradient of their mean over the global batch is left in the parameters.

        Gradients are exchanged with the last microbatch, as their mean over the processes: hence `group.count`.
        """
        parts = list(batch.split(self.microbatch or len(batch.x0)))
        losses = []
        for place, part in enumerate(parts):
            torch.manual_seed(words_at(seed, Purpose.DROPOUT, state.step, group.rank, place)[0])
            with without_sync(state.denoiser.network) if place < len(parts) - 1 else nullcontext():
                losses.append(part.weight * loss(state.denoiser, part))
                state.scaler.scale(losses[-1].sum() * (group.count / self.batch_size)).backward()  # type: ignore[no-untyped-call]
        for parameter in state.loss_module.parameters():
            parameter.grad = (
                group.sum(
                    torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                )
                / group.count
            )
        return torch.cat(losses).detach()
