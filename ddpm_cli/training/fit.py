"""The training loop: a generator over steps, independent of files."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from ddpm_cli.images import Batch
from ddpm_cli.losses import Loss
from ddpm_cli.parallel import ALONE, ProcessGroup
from ddpm_cli.seeds import Purpose
from ddpm_cli.shapes import Indices, Numbers, PerImage, Scalar, Times
from ddpm_cli.training.noising import clean_batch, keyed_uniforms
from ddpm_cli.training.state import TrainState
from ddpm_cli.training.step import StepInputs, TrainStep
from ddpm_cli.training.trainer import Trainer


@dataclass(frozen=True)
class Progress:
    """The numbers of one step.

    step: the steps done, this step included. lr: of the first group of parameters.
    indices, times, weights: values of this process's images, on the CPU.
    numbers: what `TrainStep` returned, on the device until it is read.
    """

    step: int
    lr: float
    indices: Indices
    times: Times
    weights: PerImage
    numbers: Numbers

    @property
    def loss(self) -> Scalar:
        """The mean loss of the global batch."""
        return self.numbers[0]

    @property
    def grad_norm(self) -> Scalar:
        """The norm of the gradient before it is clipped."""
        return self.numbers[1]

    @property
    def flags(self) -> Numbers:
        """Whether the step was skipped for a number that is not finite; whether fp16 overflowed.

        The scaler reacts to an overflow.
        """
        return self.numbers[2:4]

    @property
    def losses(self) -> PerImage:
        """The weighted losses of this process's images."""
        return self.numbers[4:]


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
    take_step: TrainStep | None = None
    end = steps if trainer.stop_at is None else min(steps, trainer.stop_at)
    for step in range(state.step, end):
        batch = next(batches)
        inputs, times = step_inputs(trainer, state, batch, seed, steps)
        take_step = take_step or TrainStep(trainer, state, loss, inputs, seed, group)
        numbers = take_step(inputs)
        state.step, state.position = step + 1, batch.position
        clean, lr = inputs.clean, inputs.lr[0].item()
        progress = Progress(step + 1, lr, batch.indices, clean.times, clean.weights, numbers)
        state.history.follow(times, batch.first, progress.losses, clean.weights, group)
        yield progress


def step_inputs(
    trainer: Trainer, state: TrainState, batch: Batch, seed: int, steps: int
) -> tuple[StepInputs, Times]:
    """What the next step takes from the host; also the times of the global batch.

    The LR is computed here: a scheduler of torch would warn if the first step of fp16 overflows.
    """
    u = keyed_uniforms(seed, Purpose.TIMES, state.step, trainer.batch_size)
    times = state.time_sampler(u, state.history)
    clean = clean_batch(
        state.denoiser, batch, seed, state.step, times=times, label_dropout=trainer.label_dropout
    )
    factor = state.lr_scale * trainer.lr_factor(state.step, steps)
    groups = state.optimizer.param_groups
    lr = [factor * options.setdefault("initial_lr", options["lr"]) for options in groups]
    decay = min(trainer.ema, (1 + state.step) / (10 + state.step))
    return StepInputs(clean, torch.tensor(lr), torch.tensor(decay)), times[0]
