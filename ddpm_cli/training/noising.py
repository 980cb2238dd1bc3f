"""From clean images to a batch to learn from: times, noise and labels as functions of the seed and the step."""

import torch

from ddpm_cli.denoiser import Denoiser
from ddpm_cli.diffusion import to_device_of
from ddpm_cli.images import to_float
from ddpm_cli.loading import Batch
from ddpm_cli.losses import Noised
from ddpm_cli.seeds import Purpose, normal_like, reseed, rng_at, words_at
from ddpm_cli.shapes import Fitted, Images, Uniforms
from ddpm_cli.train_times import History, SampledTimes, uniform


def noise_batch(
    denoiser: Denoiser,
    batch: Batch,
    seed: int,
    step: int,
    device: torch.device,
    *,
    drawn: SampledTimes | None = None,
    label_dropout: float = 0.0,
    offset_noise: float = 0.0,
    input_perturbation: float = 0.0,
) -> Noised:
    """The batch with keyed noise at keyed integer times, on the device, and with labels where the network takes them.

    drawn: times and weights of the global batch, else even ones. offset_noise: scale of further noise that is alike all over a channel,
    in the target too (Guttenberg 2023). input_perturbation: scale of further noise that x_t has and the target has not (Ning et al. 2023,
    algorithm 1).
    """
    x0 = to_float(batch.images.to(device, non_blocking=True))
    mine = slice(batch.first, batch.first + len(x0))
    times, weight = drawn or uniform(
        keyed_uniforms(seed, Purpose.TIMES, step, mine.stop), History(denoiser.diffusion)
    )
    t, eps = times[mine], keyed_normal(x0, seed, Purpose.NOISE, step, mine)
    if offset_noise:
        eps = eps + offset_noise * to_device_of(keyed_offsets(x0, seed, step, mine), x0)
    label = batch.labels if denoiser.conditional else None
    if label is not None:
        kept = keyed_uniforms(seed, Purpose.LABELS, step, mine.stop)[mine] >= label_dropout
        label = label.to(device, non_blocking=True).where(
            to_device_of(kept, x0), -1
        )  # Ho & Salimans 2022
    extra = (
        input_perturbation * keyed_normal(x0, seed, Purpose.PERTURBATION, step, mine)
        if input_perturbation
        else 0.0
    )
    x_t = denoiser.diffusion.add_noise(x0, eps + extra, t)
    fitted = weight if isinstance(weight, float) else to_device_of(weight[mine].float(), x0)
    return Noised(x0, eps, x_t, t, label, fitted, perturbed=input_perturbation > 0)


def keyed_uniforms(seed: int, purpose: Purpose, step: int, count: int) -> Uniforms:
    """A number in [0, 1) for each of the first images of the global batch."""
    return torch.from_numpy(rng_at(seed, purpose, step).random(count))


def keyed_normal(like: Images, seed: int, purpose: Purpose, step: int, mine: slice) -> Images:
    """Standard normal noise for the images at the places `mine` of the global batch."""
    return normal_like(
        like, reseed(words_at(seed, purpose, step, count=mine.stop)[mine], like.device)
    )


def keyed_offsets(like: Images, seed: int, step: int, mine: slice) -> Fitted:
    """A standard normal number for each channel of these images [B, C, 1, 1]."""
    numbers = rng_at(seed, Purpose.OFFSET, step).standard_normal(
        (mine.stop, like.shape[1], 1, 1), dtype="float32"
    )
    return torch.from_numpy(numbers)[mine]
