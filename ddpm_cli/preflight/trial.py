"""One pass forward and backward, before anything is trained."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import nn

from ddpm_cli.denoiser import Denoiser
from ddpm_cli.loading import Batch
from ddpm_cli.losses import Loss, Noised
from ddpm_cli.parallel import ProcessGroup, unwrap
from ddpm_cli.preflight.finding import Finding
from ddpm_cli.preflight.resources import REMEDY, peak_memory
from ddpm_cli.samplers import clip_x0
from ddpm_cli.shapes import Images, PerImage
from ddpm_cli.training import Trainer, TrainState
from ddpm_cli.training.trainer import backward, noise_for_training

ALLOCATION = "allocate memory"  # in what torch says where the CPU's memory is full


@dataclass(frozen=True)
class Trial:
    """A first pass forward and backward: what was found, the seconds of another, the bytes that it takes for a while."""

    findings: list[Finding]
    seconds: float = math.nan
    memory: int = 0


@torch.no_grad()
def try_parts(
    denoiser: Denoiser,
    sampler: Callable[..., Iterator[Images]],
    loss: Loss,
    shape: tuple[int, ...],
    *,
    perturbed: bool = False,
) -> None:
    """One grey image through sampler and loss: what they refuse is told before anything is prepared."""
    try:
        grey, label = torch.zeros(1, *shape), torch.tensor([0]) if denoiser.conditional else None
        diffusion, last = denoiser.diffusion, denoiser.diffusion.steps
        next(iter(sampler(clip_x0(denoiser), diffusion, grey, [last, 1], torch.zeros_like)))
        batch = Noised.at(diffusion, grey, grey, torch.tensor([last]), label)
        loss(denoiser, replace(batch, perturbed=perturbed))
    except (RuntimeError, TypeError, ArithmeticError, MemoryError) as error:
        raise ValueError(
            f"one image of {shape} does not go through this network, sampler and loss: {error}"
        ) from error


def run_trial(
    trainer: Trainer, state: TrainState, loss: Loss, batch: Batch, seed: int, group: ProcessGroup
) -> Trial:
    """Forward and backward of a batch, twice, for the first takes longer; no step is made and no gradient stays."""
    network, device = state.denoiser.network, state.denoiser.device
    try:
        with without_traces(state):
            before = peak_memory(device, anew=True)
            times = state.sample_times(seed, trainer.batch_size)
            noisy = noise_for_training(trainer, state, batch, times, seed)
            losses = backward(trainer, state, noisy, loss, seed, group)
            found = list(
                check_gradients(
                    losses,
                    unwrap(network),
                    needed=group.count > 1,
                    scaled=state.scaler.is_enabled(),
                )
            )
            if any(each.level == "error" for each in found):
                return Trial(found)
            began = time.perf_counter()
            backward(trainer, state, noisy, loss, seed, group).sum().item()
            return Trial(found, time.perf_counter() - began, peak_memory(device) - before)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not isinstance(error, torch.OutOfMemoryError | MemoryError) and ALLOCATION not in str(
            error
        ):
            raise
        images_at_once = min(len(batch.images), trainer.microbatch or len(batch.images))
        return Trial(
            [
                Finding(
                    "error",
                    f"{images_at_once} images at once do not fit into the memory of {device}: {REMEDY}",
                )
            ]
        )


@contextmanager
def without_traces(state: TrainState) -> Iterator[None]:
    """Leaves no gradient, and buffers as they were."""
    network = state.denoiser.network
    before = [buffer.clone() for buffer in network.buffers()]
    try:
        yield
    finally:
        state.optimizer.zero_grad()
        for buffer, kept in zip(network.buffers(), before, strict=True):
            buffer.detach().copy_(kept)


def check_gradients(
    losses: PerImage, network: nn.Module, *, needed: bool, scaled: bool
) -> Iterator[Finding]:
    """Whether losses and gradients are finite, and every parameter has one.

    needed: it must, for processes wait for it. scaled: for fp16, whose scaler answers where that is too much.
    """
    learned = {
        name: parameter.grad
        for name, parameter in network.named_parameters()
        if parameter.requires_grad
    }
    bad = [
        name
        for name, grad in learned.items()
        if grad is not None and not scaled and not grad.isfinite().all()
    ]
    without = [name for name, grad in learned.items() if grad is None]
    if count := int((~losses.isfinite()).sum()):
        yield Finding("error", f"the loss of {count} of {len(losses)} images is not finite")
    elif bad:
        yield Finding("error", f"the gradient of {first_names(bad)} is not finite")
    if without:
        demand = "; with trainer=ddp every parameter needs one" if needed else ""
        yield Finding(
            "error" if needed else "warning",
            f"{first_names(without)} get no gradient and stay as they are{demand}",
        )
    if not (count or bad or without):
        yield Finding(
            "ok",
            f"loss and gradient of a batch are finite, and all of {len(learned)} parameters get one",
        )


def first_names(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
