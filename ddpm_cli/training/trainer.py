"""The options of a training run, their checks, and values that follow."""

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer

from ddpm_cli.averages.power_function import check_length
from ddpm_cli.averages.snapshots import MOST_SNAPSHOTS, steps_between
from ddpm_cli.config.schema import at_least
from ddpm_cli.hardware import Precision
from ddpm_cli.optimizers.groups import MATCH, check_group_options
from ddpm_cli.optimizers.modes import set_mode
from ddpm_cli.seeds import MAX_STEPS

BY_COSTS = "auto"  # the steps of a cadence that follow from measured costs
CADENCES = (
    "log_every",
    "evaluate_every",
    "measure_every",
    "sample_every",
    "checkpoint_every",
    "keep_every",
    "ema_every",
)
POSITIVE = ("batch_size", "microbatch", "processes", "bad_steps", "keep_last", *CADENCES)
FROM_ZERO = ("steps", "warmup", "epochs", "stop_at", "workers")
LR_SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda done: 1.0,
    "linear": lambda done: 1 - done,
    "cosine": lambda done: 0.5 * (1 + math.cos(math.pi * done)),
}


@dataclass(frozen=True)
class Trainer:
    """The options of a training run. `fit` follows them.

    steps, or epochs or minutes instead: length of the run, over which the LR decays.
    stop_at: an earlier step to end at; it changes nothing else. lr_schedule: after `warmup` steps.
    batch_size: images in a step, over all processes. microbatch: images at once in the network.
    processes: processes with parallel=ddp. workers: processes that prepare batches. Apart from
    rounding and dropout's masks, microbatch, processes and workers do not change a step.
    precision: the network's precision; bf16 and fp16 use autocast. compile: use torch.compile.
    graphs: capture the step in CUDA graphs; auto: where that is possible.
    activation_checkpointing: less memory, more time. deterministic: kernels that give equal bits.
    grad_clip: largest norm of the gradient.
    parameter_groups: groups of parameters with options of their own, see `optimizers.groups`.
    freeze: patterns of the parameters that are not trained.
    label_dropout, offset_noise, input_perturbation: as in `noise_batch`. ema: largest decay of the
    EMA. bad_steps: steps in a row without finite numbers before the run rolls back to its last
    checkpoint.
    ema_lengths: lengths of power-function EMAs, see `averages`. ema_every: steps between their
    snapshots, or auto: a number for at most 40 files.
    loggers: names in the group logger.
    evaluate_every, measure_every, sample_every, checkpoint_every: steps between, or auto: a number
    that follows from measured costs, see `pace`.
    measures: metrics of measure_images samples: fd_X, kid_X with X a choice of the group features.
    best: the metric whose lowest value makes best.safetensors: held_out, or a metric in measures.
    keep_last: newest checkpoints to keep. keep_every: steps between permanent checkpoints.
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
    graphs: bool | Literal["auto"]
    activation_checkpointing: bool
    deterministic: bool
    lr_schedule: Literal["constant", "linear", "cosine"]
    warmup: int
    grad_clip: float | None
    parameter_groups: list[dict[str, Any]]
    freeze: list[str]
    label_dropout: float
    offset_noise: float
    input_perturbation: float
    ema: float
    ema_lengths: list[float] | None
    ema_every: int | Literal["auto"]
    bad_steps: int
    log_every: int
    loggers: list[str]
    evaluate_every: int | Literal["auto"]
    measures: list[str]
    measure_every: int | Literal["auto"]
    measure_images: int
    best: str
    sample_every: int | Literal["auto"]
    checkpoint_every: int | Literal["auto"]
    keep_last: int
    keep_every: int | None

    def __post_init__(self) -> None:
        at_least(
            self, **dict.fromkeys(POSITIVE, 1), **dict.fromkeys(FROM_ZERO, 0), measure_images=2
        )
        if self.best not in (known := ["held_out", *self.measures]):
            raise ValueError(
                f"best must be one of {', '.join(known)} (trainer.measures adds others), "
                f"but is {self.best!r}"
            )
        if self.parallel != "ddp" and self.processes != 1:
            raise ValueError(
                f"processes={self.processes} needs trainer=ddp, but parallel is {self.parallel!r}"
            )
        if self.minutes is not None and (self.epochs is not None or not self.minutes > 0):
            values = f"they are {self.minutes} and {self.epochs}"
            raise ValueError(f"minutes must be positive and without epochs, but {values}")
        if self.parallel == "dp" and self.compile:
            raise ValueError("compile=true does not go with trainer=dp; use trainer=ddp")
        if self.steps >= MAX_STEPS:
            remedy = "trainer.stop_at ends a long run early"
            raise ValueError(
                f"steps must be less than {MAX_STEPS:,}, but is {self.steps}; {remedy}"
            )
        self.check_ema_lengths()
        check_group_options(self.optimizer, self.parameter_groups)
        for place, group in enumerate(self.parameter_groups):
            options = {name: value for name, value in group.items() if name != MATCH}
            try_optimizer(partial(self.optimizer, **options), f"parameter_groups[{place}]")
        if not 0 <= self.label_dropout <= 1:
            raise ValueError(f"label_dropout must be between 0 and 1, but is {self.label_dropout}")
        if min(self.offset_noise, self.input_perturbation) < 0:
            values = f"they are {self.offset_noise} and {self.input_perturbation}"
            raise ValueError(
                f"offset_noise and input_perturbation must be at least 0, but {values}"
            )
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema must be at least 0 and less than 1, but is {self.ema}")
        if self.grad_clip is not None and not self.grad_clip > 0:
            raise ValueError(f"grad_clip must be positive or null, but is {self.grad_clip}")

    def check_ema_lengths(self) -> None:
        """Refuse lengths of EMAs that are out of range or equal, and a cadence without lengths."""
        lengths = self.ema_lengths
        if lengths is None:
            if self.ema_every != BY_COSTS:
                raise ValueError(f"ema_every={self.ema_every} has no effect without ema_lengths")
            return
        for each in lengths:
            check_length(each, "each of ema_lengths")
        if not 0 < len({*lengths}) == len(lengths) <= MOST_SNAPSHOTS:
            rule = f"ema_lengths must be null or 1 to {MOST_SNAPSHOTS} different numbers"
            raise ValueError(f"{rule}, but is {lengths}")

    def length(self, images: int | None) -> int:
        """The steps of a run without minutes. images: the data set's size; None: unknown."""
        if self.epochs is None:
            return self.steps
        if images is None:
            raise ValueError(
                f"trainer.epochs={self.epochs} needs the number of images, "
                "which the stream does not tell; give steps"
            )
        return math.ceil(self.epochs * images / self.batch_size)

    def snapshot_every(self, steps: int) -> int:
        """The steps between snapshots of EMAs in a run of so many steps."""
        if isinstance(self.ema_every, int):
            return self.ema_every
        return steps_between(len(self.ema_lengths or [0]), steps)

    def lr_factor(self, step: int, steps: int) -> float:
        """The factor of the learning rate: a function of (step, steps) alone."""
        decay = LR_SCHEDULES[self.lr_schedule](step / max(1, steps))
        return min(1.0, (step + 1) / (self.warmup + 1)) * decay


def try_optimizer(
    optimizer: Callable[..., Optimizer], key: str = "trainer.optimizer"
) -> Callable[..., Optimizer]:
    """The optimizer, after a trial step. Raises ValueError if its kind or options do not fit."""
    parameter = nn.Parameter(torch.zeros(2, 2))
    parameter.grad = torch.zeros_like(parameter)
    try:
        trial = optimizer([parameter])
        set_mode(trial, "train")
        trial.step()
    except (ValueError, RuntimeError, TypeError, NameError, AssertionError) as error:
        raise ValueError(f"{key}: {error}") from error
    return optimizer
