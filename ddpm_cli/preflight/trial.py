"""One pass forward and backward before training."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from ddpm_cli.denoiser import Denoiser
from ddpm_cli.hardware import full_memory_text, is_out_of_memory, peak_memory
from ddpm_cli.images import Batch
from ddpm_cli.losses import Loss, Noised
from ddpm_cli.parallel import ProcessGroup, unwrap
from ddpm_cli.preflight.finding import Finding
from ddpm_cli.preflight.resources import REMEDY
from ddpm_cli.samplers import with_label
from ddpm_cli.shapes import Images, PerImage
from ddpm_cli.training import Trainer, TrainState
from ddpm_cli.training.fit import step_inputs
from ddpm_cli.training.step import TrainStep


@dataclass(frozen=True)
class Trial:
    """The findings of a first pass; the seconds and the temporary memory in bytes of a second."""

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
    """Pass one grey image through sampler and loss, to refuse bad parts before data is prepared."""
    try:
        grey, label = torch.zeros(1, *shape), torch.tensor([0]) if denoiser.conditional else None
        diffusion, last = denoiser.diffusion, denoiser.diffusion.steps
        denoise = denoiser if label is None else with_label(denoiser, label)
        next(iter(sampler(denoise, diffusion, grey, [last, 1], torch.zeros_like)))
        x_t, t = diffusion.add_noise(grey, grey, last), torch.tensor([last])
        loss(denoiser, Noised(grey, grey, x_t, t, label, perturbed=perturbed))
    except (RuntimeError, TypeError, ArithmeticError, MemoryError) as error:
        if is_out_of_memory(error):
            remedy = "choose a smaller network, or smaller images"
            fault = f"one image of {shape} does not fit into the memory of cpu"
            raise ValueError(f"{fault}: {remedy}") from error
        fault = f"one image of {shape} does not go through this network, sampler and loss"
        raise ValueError(f"{fault}: {error}") from error


def run_trial(
    trainer: Trainer, state: TrainState, loss: Loss, batch: Batch, seed: int, group: ProcessGroup
) -> Trial:
    """Pass a batch forward and backward twice; the second pass is timed, as the first is slower.

    The trial makes no step, clears all gradients and restores the buffers.
    """
    network, device = state.denoiser.network, state.denoiser.device
    buffers = [buffer.clone() for buffer in network.buffers()]
    try:
        before = peak_memory(device, reset=True)
        inputs, _ = step_inputs(trainer, state, batch, seed, trainer.steps)
        step = TrainStep(trainer, state, loss, inputs, seed, group)
        losses = step.compute_gradients(inputs)
        needed, scaled = group.count > 1, state.scaler.is_enabled()
        findings = list(check_gradients(losses, unwrap(network), needed=needed, scaled=scaled))
        if any(finding.level == "error" for finding in findings):
            return Trial(findings)
        began = time.perf_counter()
        step.compute_gradients(inputs).sum().item()
        return Trial(findings, time.perf_counter() - began, peak_memory(device) - before)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        count = min(len(batch.images), trainer.microbatch or len(batch.images))
        fault = f"{count} images at once do not fit into the memory of {device}"
        return Trial([Finding("error", f"{fault} ({full_memory_text(error)}): {REMEDY}")])
    finally:
        state.optimizer.zero_grad()
        for buffer, value in zip(network.buffers(), buffers, strict=True):
            buffer.detach().copy_(value)


def check_gradients(
    losses: PerImage, network: nn.Module, *, needed: bool, scaled: bool
) -> Iterator[Finding]:
    """Check that losses and gradients are finite and that every parameter has a gradient.

    needed: whether processes wait for every gradient. scaled: whether fp16's scaler handles
    overflows.
    """
    trained = (pair for pair in network.named_parameters() if pair[1].requires_grad)
    grads = {name: parameter.grad for name, parameter in trained}
    missing = [name for name, grad in grads.items() if grad is None]
    infinite = [
        name
        for name, grad in grads.items()
        if grad is not None and not scaled and not grad.isfinite().all()
    ]
    if count := int((~losses.isfinite()).sum()):
        yield Finding("error", f"the loss of {count} of {len(losses)} images is not finite")
    elif infinite:
        yield Finding("error", f"the gradient of {first_names(infinite)} is not finite")
    if missing:
        rule = "; with trainer=ddp every parameter needs one" if needed else ""
        fault = f"{first_names(missing)} get no gradient and stay as they are"
        yield Finding("error" if needed else "warning", f"{fault}{rule}")
    if not (count or infinite or missing):
        detail = f"are finite, and all of {len(grads)} parameter tensors get one"
        yield Finding("ok", f"loss and gradient of a batch {detail}")


def first_names(names: Sequence[str]) -> str:
    """The first three names, and the number of other names."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
