"""The training loop: a generator over steps that knows no files."""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from ddpm_cli.data import Batch
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.diffusion import moved
from ddpm_cli.images import to_float
from ddpm_cli.losses import Noised
from ddpm_cli.parallel import ALONE, Precision, Ranks, overflowed, unsynchronised
from ddpm_cli.seeds import Purpose, normal_like, reseeded, rng_at, words_at
from ddpm_cli.shapes import Flag, Indices, PerImage, Scalar, Time, Uniforms

Loss: TypeAlias = Callable[[Denoiser, Noised], PerImage]

LONGEST = 10**8  # more steps than any run has
CADENCES = ("log_every", "sample_every", "checkpoint_every", "keep_every")
POSITIVE = ("batch_size", "microbatch", "processes", "bad_steps", "keep_last", *CADENCES)
FROM_ZERO = ("steps", "warmup", "epochs", "stop_at", "workers")
LR_SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda done: 1.0,
    "linear": lambda done: 1 - done,
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
}


@dataclass
class TrainState:
    """All that training changes: after the same steps it is the same, whatever happened in between.

    skipped: of these steps, those whose numbers were not finite, but for the overflows that fp16's scaler answers.
    """

    denoiser: Denoiser
    average: nn.Module
    optimizer: Optimizer
    step: int = 0
    lr_scale: float = 1.0
    skipped: int = 0
    scaler: GradScaler = field(default_factory=partial(GradScaler, "cpu", enabled=False))

    @classmethod
    def fresh(cls, denoiser: Denoiser, optimizer: Callable[..., Optimizer]) -> "TrainState":
        """The state before the first step: the average is the network."""
        average = copy.deepcopy(denoiser.network).eval().requires_grad_(False)
        return cls(denoiser, average, optimizer(denoiser.network.parameters()))


@dataclass(frozen=True)
class Progress:
    """What one step measured: tensors on the device, read only when they are logged.

    loss and grad_norm are of the global batch. skipped: they were not finite, so that the step was not applied;
    overflow: because fp16 was left, which its scaler answers.
    losses: of this process's images, whose indices are `indices`.
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


@dataclass(frozen=True)
class Trainer:
    """The recipe of a training run.

    steps, or epochs or minutes in its place: the length, over which the LR decays; stop_at ends earlier and changes nothing else.
    batch_size: images in a step, of all processes together. microbatch: images that go through the network at once, for memory;
    processes, with parallel=ddp; workers: processes that prepare batches. The step is the same but for rounding and dropout's masks.
    precision: of the network, bf16 and fp16 under autocast; compile: by torch.compile; activation_checkpointing: memory for time.
    lr_schedule: after `warmup` steps of linear rise. grad_clip: largest norm of the gradient, null for none.
    label_dropout: the share of the labels kept from a conditional network. ema: the decay of the average of the weights, which is sampled.
    bad_steps: steps in a row without finite numbers before the run goes back to its last checkpoint.
    log_every, sample_every, checkpoint_every: in steps. keep_last: newest checkpoints kept; keep_every: steps between those kept for good.
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
    ema: float
    bad_steps: int
    log_every: int
    sample_every: int
    checkpoint_every: int
    keep_last: int
    keep_every: int | None

    def __post_init__(self) -> None:
        for name, low in {**dict.fromkeys(POSITIVE, 1), **dict.fromkeys(FROM_ZERO, 0)}.items():
            if isinstance(number := getattr(self, name), int) and number < low:
                raise ValueError(f"{name} must be at least {low}, but is {number}")
        if self.parallel != "ddp" and self.processes != 1:
            raise ValueError(f"processes={self.processes} needs trainer=ddp, but parallel is {self.parallel!r}")
        if self.minutes is not None and (self.epochs is not None or not self.minutes > 0):
            raise ValueError(f"minutes must be positive and without epochs, but they are {self.minutes} and {self.epochs}")
        if self.parallel == "dp" and self.compile:
            raise ValueError("compile=true does not go with trainer=dp; use trainer=ddp")
        if self.steps >= LONGEST:
            raise ValueError(f"steps must be less than {LONGEST:,}, but is {self.steps}; trainer.stop_at ends a long run early")
        if not 0 <= self.label_dropout <= 1:
            raise ValueError(f"label_dropout must be between 0 and 1, but is {self.label_dropout}")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema must be at least 0 and less than 1, but is {self.ema}")
        if self.grad_clip is not None and not self.grad_clip > 0:
            raise ValueError(f"grad_clip must be positive or null, but is {self.grad_clip}")

    def length(self, images: int) -> int:
        """The steps of the whole run over a data set of so many images, where no minutes set them."""
        return self.steps if self.epochs is None else math.ceil(self.epochs * images / self.batch_size)

    def lr_factor(self, step: int, steps: int) -> float:
        """What the learning rate is multiplied with: a function of (step, steps) alone."""
        return min(1.0, (step + 1) / (self.warmup + 1)) * LR_SCHEDULES[self.lr_schedule](step / max(1, steps))

    def fit(
        self, state: TrainState, batches: Iterator[Batch], loss: Loss, *, steps: int, seed: int, ranks: Ranks = ALONE
    ) -> Iterator[Progress]:
        """Trains from `state.step` to the end, changing `state`; yields after every step. `batches`: this process's part of each."""
        device = next(state.denoiser.network.parameters()).device
        groups = state.optimizer.param_groups
        for group in groups:
            group.setdefault("initial_lr", group["lr"])
        for step in range(state.step, steps if self.stop_at is None else min(steps, self.stop_at)):
            factor = state.lr_scale * self.lr_factor(step, steps)
            for group in groups:
                group["lr"] = group["initial_lr"] * factor  # a scheduler of torch's warns where fp16's first step overflows
            taken = next(batches)
            batch = noised(state.denoiser, taken, seed, step, device, label_dropout=self.label_dropout)
            losses, mean, norm, skipped, overflow = self.advance(state, batch, loss, seed, ranks)
            yield Progress(state.step, mean, norm, float(groups[0]["lr"]), skipped, overflow, losses, taken.indices, batch.t)

    def advance(self, state: TrainState, batch: Noised, loss: Loss, seed: int, ranks: Ranks) -> tuple[PerImage, Scalar, Scalar, Flag, Flag]:
        """One step of the optimizer and of the average, applied only where loss and gradient are finite."""
        network, optimizer = state.denoiser.network, state.optimizer
        optimizer.zero_grad()
        losses = self.backward(state, batch, loss, seed, ranks)
        mean = ranks.total(losses.sum()) / self.batch_size
        state.scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(network.parameters(), math.inf if self.grad_clip is None else self.grad_clip)
        skipped, overflow = ~(mean.isfinite() & norm.isfinite()), overflowed(state.scaler, mean, norm)
        step_unless(skipped, optimizer)
        average_towards(state.average, network, min(self.ema, (1 + state.step) / (10 + state.step)), skipped)
        state.scaler.update()
        state.step += 1
        return losses, mean, norm, skipped, overflow

    def backward(self, state: TrainState, batch: Noised, loss: Loss, seed: int, ranks: Ranks) -> PerImage:
        """The losses of this process's images; the gradient of their mean over the global batch is left in the parameters.

        Gradients are exchanged with the last microbatch, as their mean over the processes: hence `ranks.count`.
        """
        parts = list(batch.split(self.microbatch or len(batch.x0)))
        losses = []
        for place, part in enumerate(parts):
            torch.manual_seed(words_at(seed, Purpose.DROPOUT, state.step, ranks.rank, place)[0])
            with unsynchronised(state.denoiser.network) if place < len(parts) - 1 else nullcontext():
                losses.append(part.weight * loss(state.denoiser, part))
                state.scaler.scale(losses[-1].sum() * (ranks.count / self.batch_size)).backward()  # type: ignore[no-untyped-call]
        return torch.cat(losses).detach()


def step_unless(skipped: Flag, optimizer: Optimizer) -> None:
    """A step of the optimizer; fused ones with moments skip it on the device, the others wait for the flag."""
    # a first step that is skipped would leave moments unfilled: it is waited for
    if optimizer.state and getattr(optimizer, "_step_supports_amp_scaling", False):
        optimizer.found_inf = skipped.float()  # type: ignore[attr-defined]
        optimizer.step()
    elif not skipped:
        optimizer.step()


def tried(optimizer: Callable[..., Optimizer]) -> Callable[..., Optimizer]:
    """The optimizer, after a step with it; ValueError where its options or its kind do not go with this loop."""
    parameter = nn.Parameter(torch.zeros(2, 2))
    parameter.grad = torch.zeros_like(parameter)
    try:
        optimizer([parameter]).step()
    except (ValueError, RuntimeError, TypeError, NameError, AssertionError) as error:
        raise ValueError(f"trainer.optimizer: {error}") from error
    return optimizer


def noised(denoiser: Denoiser, batch: Batch, seed: int, step: int, device: torch.device, *, label_dropout: float = 0.0) -> Noised:
    """The batch with keyed noise at keyed integer times, on the device, and with labels where the network takes them."""
    x0 = to_float(batch.images.to(device, non_blocking=True))
    first, last = batch.first, batch.first + len(x0)
    t = 1 + (uniforms(batch, seed, Purpose.TIMES, step) * denoiser.diffusion.steps).long()
    eps = normal_like(x0, reseeded(words_at(seed, Purpose.NOISE, step, count=last)[first:], device))
    label = batch.labels if denoiser.conditional else None
    if label is not None:
        kept = uniforms(batch, seed, Purpose.LABELS, step) >= label_dropout
        label = label.to(device, non_blocking=True).where(moved(kept, x0), -1)  # Ho & Salimans 2022
    return Noised.at(denoiser.diffusion, x0, eps, t, label)


def uniforms(batch: Batch, seed: int, purpose: Purpose, step: int) -> Uniforms:
    """A number in [0, 1) for each image, by its place in the global batch."""
    return torch.from_numpy(rng_at(seed, purpose, step).random(batch.first + len(batch.images))[batch.first :])


@torch.no_grad()
def average_towards(average: nn.Module, network: nn.Module, decay: float, skipped: Flag) -> None:
    """average <- decay average + (1 - decay) network, for the parameters; buffers are copied. Nothing where the step was skipped."""
    mine: list[Tensor] = list(average.parameters())
    its: list[Tensor] = list(network.parameters())
    if skipped.is_cuda:  # the flag is not waited for
        weight: Tensor = (1 - decay) * ~skipped
        torch._foreach_lerp_(mine, its, [weight.to(each.dtype) for each in mine])
    elif not skipped:
        torch._foreach_lerp_(mine, its, 1 - decay)
    for buffer, other in zip(average.buffers(), network.buffers(), strict=True):
        buffer.copy_(torch.where(skipped, buffer, other))
