"""From clean images to a noised batch: times, noise and labels as functions of seed and step."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ddpm_cli.denoiser import Denoiser
from ddpm_cli.diffusion import float64_device
from ddpm_cli.hardware import to_device
from ddpm_cli.images import Batch, to_float
from ddpm_cli.losses import Noised
from ddpm_cli.seeds import Purpose, keyed_normal, rng_at
from ddpm_cli.shapes import Bytes, Indices, Labels, Number, PerImage, Times, Uniforms
from ddpm_cli.train_times import History, SampledTimes, uniform


@dataclass(frozen=True)
class CleanBatch:
    """A batch before its noise: the tensors that noise and loss are computed from.

    step: the step, or another key of the noise. places: positions in the global batch.
    labels: -1 for none; None for a network without labels. weights: of the losses.
    """

    step: Number
    images: Bytes
    places: Indices
    times: Times
    weights: PerImage
    labels: Labels | None

    def map(self, change: Callable[[Tensor], Tensor]) -> "CleanBatch":
        """The batch with each of its tensors changed."""
        changed: dict[str, Any] = {
            name: each if each is None else change(each) for name, each in vars(self).items()
        }
        return replace(self, **changed)

    def to(self, device: torch.device) -> "CleanBatch":
        """The batch on a device, without waiting; the times on a device that has float64."""
        moved = self.map(lambda each: to_device(each, device))
        return replace(moved, times=to_device(self.times, float64_device(device)))

    def part(self, first: int, size: int) -> "CleanBatch":
        """The batch's images from `first` on, at most `size`: views of its tensors."""
        return self.map(lambda each: each[first : first + size] if each.ndim else each)


def clean_batch(
    denoiser: Denoiser,
    batch: Batch,
    seed: int,
    step: int,
    *,
    times: SampledTimes | None = None,
    label_dropout: float = 0.0,
) -> CleanBatch:
    """The clean batch of a step on the CPU, with its times and with its labels if they are used.

    times: times and weights of the global batch; None: uniform times.
    label_dropout: share of the labels to replace by -1 (Ho & Salimans 2022).
    """
    mine = slice(batch.first, batch.first + len(batch.images))
    t, weight = times or uniform(
        keyed_uniforms(seed, Purpose.TIMES, step, mine.stop), History(denoiser.diffusion)
    )
    weight = torch.ones(len(t)) if isinstance(weight, float) else weight.float()
    labels = batch.labels if denoiser.conditional else None
    if labels is not None:
        is_labelled = keyed_uniforms(seed, Purpose.LABELS, step, mine.stop)[mine] >= label_dropout
        labels = labels.where(is_labelled, -1)
    places = torch.arange(mine.start, mine.stop)
    return CleanBatch(torch.tensor(step), batch.images, places, t[mine], weight[mine], labels)


def add_keyed_noise(
    denoiser: Denoiser,
    clean: CleanBatch,
    seed: int,
    *,
    offset_noise: float = 0.0,
    input_perturbation: float = 0.0,
) -> Noised:
    """Noise a batch on its device by noise that is a function of seed, step and place.

    offset_noise: scale of more noise, constant over a channel, in the target too (Guttenberg 2023).
    input_perturbation: scale of more noise in x_t that the target lacks (Ning et al. 2023, alg. 1).
    """
    x0 = to_float(clean.images)
    normal = partial(keyed_normal, seed=seed, step=clean.step, images=clean.places)
    eps = normal(x0, purpose=Purpose.NOISE)
    if offset_noise:
        eps = eps + offset_noise * normal(x0[:, :, :1, :1], purpose=Purpose.OFFSET)
    added = eps
    if input_perturbation:
        added = eps + input_perturbation * normal(x0, purpose=Purpose.PERTURBATION)
    x_t = denoiser.diffusion.add_noise(x0, added, clean.times)
    perturbed = input_perturbation > 0
    return Noised(x0, eps, x_t, clean.times, clean.labels, clean.weights, perturbed)


def noise_batch(
    denoiser: Denoiser,
    batch: Batch,
    seed: int,
    step: int,
    device: torch.device,
    *,
    times: SampledTimes | None = None,
    label_dropout: float = 0.0,
    offset_noise: float = 0.0,
    input_perturbation: float = 0.0,
) -> Noised:
    """Noise a batch on the device: the options are those of `clean_batch` and `add_keyed_noise`."""
    clean = clean_batch(denoiser, batch, seed, step, times=times, label_dropout=label_dropout)
    noise = {"offset_noise": offset_noise, "input_perturbation": input_perturbation}
    return add_keyed_noise(denoiser, clean.to(device), seed, **noise)


def keyed_uniforms(seed: int, purpose: Purpose, step: int, count: int) -> Uniforms:
    """Random numbers in [0, 1), one for each of the first `count` images of the global batch."""
    return torch.from_numpy(rng_at(seed, purpose, step).random(count))
