"""From clean images to a noised batch: times, noise and labels as functions of seed and step."""

import torch

from ddpm_cli.denoiser import Denoiser
from ddpm_cli.diffusion import to_device_of
from ddpm_cli.hardware import to_device
from ddpm_cli.images import Batch, to_float
from ddpm_cli.losses import Noised
from ddpm_cli.seeds import Purpose, normal_like, rng_at, words_at
from ddpm_cli.shapes import Images, Uniforms
from ddpm_cli.train_times import History, SampledTimes, uniform


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
    """Noise a batch on the device, by keyed noise at integer times; keep labels if they are used.

    times: times and weights of the global batch; None: uniform times.
    label_dropout: share of the labels to replace by -1 (Ho & Salimans 2022).
    offset_noise: scale of more noise, constant over a channel, in the target too (Guttenberg 2023).
    input_perturbation: scale of more noise in x_t that the target lacks (Ning et al. 2023, alg. 1).
    """
    x0 = to_float(to_device(batch.images, device))
    mine = slice(batch.first, batch.first + len(x0))
    all_t, weight = times or uniform(
        keyed_uniforms(seed, Purpose.TIMES, step, mine.stop), History(denoiser.diffusion)
    )
    t, eps = all_t[mine], keyed_normal(x0, seed, Purpose.NOISE, step, mine)
    if offset_noise:
        shape = (mine.stop, x0.shape[1], 1, 1)
        offset = rng_at(seed, Purpose.OFFSET, step).standard_normal(shape, dtype="float32")
        eps = eps + offset_noise * to_device_of(torch.from_numpy(offset)[mine], x0)
    label = batch.labels if denoiser.conditional else None
    if label is not None:
        kept = keyed_uniforms(seed, Purpose.LABELS, step, mine.stop)[mine] >= label_dropout
        label = to_device(label, device).where(to_device_of(kept, x0), -1)
    perturbation: Images | float = 0.0
    if input_perturbation:
        perturbation = input_perturbation * keyed_normal(x0, seed, Purpose.PERTURBATION, step, mine)
    x_t = denoiser.diffusion.add_noise(x0, eps + perturbation, t)
    if not isinstance(weight, float):
        weight = to_device_of(weight[mine].float(), x0)
    return Noised(x0, eps, x_t, t, label, weight, perturbed=input_perturbation > 0)


def keyed_uniforms(seed: int, purpose: Purpose, step: int, count: int) -> Uniforms:
    """Random numbers in [0, 1), one for each of the first `count` images of the global batch."""
    return torch.from_numpy(rng_at(seed, purpose, step).random(count))


def keyed_normal(like: Images, seed: int, purpose: Purpose, step: int, mine: slice) -> Images:
    """Standard normal noise for the images at the places `mine` of the global batch."""
    words = words_at(seed, purpose, step, count=mine.stop)[mine]
    return normal_like(like, map(torch.Generator(like.device).manual_seed, words))
