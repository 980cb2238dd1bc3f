"""Whether schedule, images, loss, network and gradient are what can be learned from and with."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import nn

from ddpm_cli.data import Batch
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.losses import Noised
from ddpm_cli.parallel import Ranks, unwrapped
from ddpm_cli.preflight.finding import Finding
from ddpm_cli.preflight.room import REMEDY, peak
from ddpm_cli.samplers import clipped
from ddpm_cli.sampling import Noises, rehearse
from ddpm_cli.shapes import Bytes, Images, Labels, Maps, NetworkTimes, PerImage, Times
from ddpm_cli.training import Loss, Trainer, TrainState, noised

ENDING_SNR, CONTRAST, EXACT = 1e-3, 64, 1e-6
ALLOCATION = "allocate memory"  # in what torch says where the CPU's memory is full


@dataclass(frozen=True)
class Trial:
    """A first pass forward and backward: what was found, the seconds of another, the bytes that it takes for a while."""

    findings: list[Finding]
    seconds: float = math.nan
    memory: int = 0


class Oracle(nn.Module):
    """A network that knows the answer."""

    def __init__(self, answer: Maps) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, x: Images, t: NetworkTimes, label: Labels | None = None) -> Maps:
        return self.answer


@torch.no_grad()
def try_parts(
    denoiser: Denoiser, sampler: Callable[..., Iterator[Images]], loss: Loss, shape: tuple[int, ...], *, perturbed: bool = False
) -> None:
    """One grey image through sampler and loss: what they refuse is told before anything is prepared."""
    try:
        grey, label = torch.zeros(1, *shape), torch.tensor([0]) if denoiser.conditional else None
        rehearse(clipped(denoiser), denoiser.diffusion, sampler, Noises(grey, torch.zeros_like))
        batch = Noised.at(denoiser.diffusion, grey, grey, torch.tensor([denoiser.diffusion.steps]), label)
        loss(denoiser, replace(batch, perturbed=perturbed))
    except (RuntimeError, TypeError, ArithmeticError, MemoryError) as error:
        raise ValueError(f"one image of {shape} does not go through this network, sampler and loss: {error}") from error


def schedule(diffusion: GaussianDiffusion) -> Iterator[Finding]:
    """Whether the process ends in noise, from which sampling starts."""
    snr = diffusion.snr(diffusion.steps).item()
    if snr > ENDING_SNR:
        remedy = f"the SNR at the end is {snr:.1e}, above {ENDING_SNR:.0e}: use schedule=cosine or a larger schedule.last"
        yield Finding("warning", f"sampling starts from pure noise, which training never saw: expect tints; {remedy}")
    else:
        betas = 1 - diffusion.alpha_bar[1:] / diffusion.alpha_bar[:-1]
        yield Finding("ok", f"the schedule ends in noise: betas from {betas.min():.1e} to {betas.max():.2g}, SNR {snr:.1e} at the end")


def images(batch: Bytes) -> Iterator[Finding]:
    """Whether a batch looks like images that can be learned from."""
    count, low, high = len(batch), int(batch.min()), int(batch.max())
    flat = batch.flatten(2)
    plain, different = int((flat.amin(2) == flat.amax(2)).all(1).sum()), len({each.numpy().tobytes() for each in batch})
    wrong = {
        f"{plain} of {count} images in a batch are of one colour": plain,
        f"{count - different} of {count} images in a batch are copies of others": count > different,
        f"a batch has bytes {low} to {high} of 0 to 255: little contrast, or images on another scale": high - low < CONTRAST,
        "all images in a batch are grey: data.channels=1 is enough": batch.shape[1] == 3 and bool((batch == batch[:, :1]).all()),
    }
    yield from (Finding("warning", text) for text, is_so in wrong.items() if is_so)
    if not any(wrong.values()):
        yield Finding("ok", f"a batch has {count} different images, none of one colour, bytes {low} to {high}")


def oracle(denoiser: Denoiser, loss: Loss, batch: Batch, seed: int, **noise: Any) -> Iterator[Finding]:
    """Whether a network that knows the noise has no loss, as it must, and one that errs at the last time has some.

    `noise` are options of `noised`. Of the bound the first is so but at t = 1, which is its decoder's, and with the smallest variance.
    """
    found = noised(denoiser, batch, seed, 0, torch.device("cpu"), **noise)
    times = torch.as_tensor(found.t).clamp(min=2)
    worst = loss(*knowing(denoiser, found, times)).abs().max().item()
    if worst < EXACT:
        yield Finding("ok", "a network that knows the noise has no loss")
    else:
        level: Literal["warning", "error"] = "warning" if math.isfinite(worst) else "error"
        yield Finding(level, f"a network that knows the noise has a loss of {worst:.2g}, not 0: loss and parameterisation disagree")
    if (loss(*knowing(denoiser, found, torch.full_like(times, denoiser.diffusion.steps), error=1.0)) == 0).all():
        remedy = "choose another loss, or schedule.zero_snr=false"
        yield Finding("warning", f"the loss gives no weight to the last time, from which sampling starts: {remedy}")


def knowing(denoiser: Denoiser, found: Noised, t: Times, error: float = 0.0) -> tuple[Denoiser, Noised]:
    """A network that knows the noise of these images at other times, or errs by so much, and the batch."""
    batch = replace(Noised.at(denoiser.diffusion, found.x0.double(), found.eps.double(), t, found.label), perturbed=found.perturbed)
    target = denoiser.target(batch.x0, batch.eps, t) + error
    learned = denoiser.variance == "learned"
    answer = torch.cat([target, -torch.ones_like(target)], dim=1) if learned else target
    return replace(denoiser, network=Oracle(answer), variance="learned" if learned else "small"), batch


def trial(trainer: Trainer, state: TrainState, loss: Loss, batch: Batch, seed: int, ranks: Ranks) -> Trial:
    """Forward and backward of a batch, twice, for the first takes longer; no step is made and no gradient stays."""
    network, device = state.denoiser.network, state.denoiser.device
    try:
        with undisturbed(state):
            before = peak(device, anew=True)
            noisy = trainer.noised(state, batch, seed, state.drawn(seed, trainer.batch_size))
            losses = trainer.backward(state, noisy, loss, seed, ranks)
            found = list(gradients(losses, unwrapped(network), needed=ranks.count > 1, scaled=state.scaler.is_enabled()))
            if any(each.level == "error" for each in found):
                return Trial(found)
            began = time.perf_counter()
            trainer.backward(state, noisy, loss, seed, ranks).sum().item()
            return Trial(found, time.perf_counter() - began, peak(device) - before)
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not isinstance(error, torch.OutOfMemoryError | MemoryError) and ALLOCATION not in str(error):
            raise
        images_at_once = min(len(batch.images), trainer.microbatch or len(batch.images))
        return Trial([Finding("error", f"{images_at_once} images at once do not fit into the memory of {device}: {REMEDY}")])


@contextmanager
def undisturbed(state: TrainState) -> Iterator[None]:
    """Leaves no gradient, and buffers as they were."""
    network = state.denoiser.network
    before = [buffer.clone() for buffer in network.buffers()]
    try:
        yield
    finally:
        state.optimizer.zero_grad()
        for buffer, kept in zip(network.buffers(), before, strict=True):
            buffer.detach().copy_(kept)


def gradients(losses: PerImage, network: nn.Module, *, needed: bool, scaled: bool) -> Iterator[Finding]:
    """Whether losses and gradients are finite, and every parameter has one.

    needed: it must, for processes wait for it. scaled: for fp16, whose scaler answers where that is too much.
    """
    learned = {name: parameter.grad for name, parameter in network.named_parameters() if parameter.requires_grad}
    bad = [name for name, grad in learned.items() if grad is not None and not scaled and not grad.isfinite().all()]
    without = [name for name, grad in learned.items() if grad is None]
    if count := int((~losses.isfinite()).sum()):
        yield Finding("error", f"the loss of {count} of {len(losses)} images is not finite")
    elif bad:
        yield Finding("error", f"the gradient of {some(bad)} is not finite")
    if without:
        demand = "; with trainer=ddp every parameter needs one" if needed else ""
        yield Finding("error" if needed else "warning", f"{some(without)} get no gradient and stay as they are{demand}")
    if not (count or bad or without):
        yield Finding("ok", f"loss and gradient of a batch are finite, and all of {len(learned)} parameters get one")


def some(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
