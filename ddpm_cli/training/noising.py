"""From clean images to a noised batch: times, noise and labels as functions of seed and step."""

from functools import partial

import torch

from ddpm_cli.denoiser import Denoiser
from ddpm_cli.diffusion import to_device_of
from ddpm_cli.hardware import to_device
from ddpm_cli.images import Batch, to_float
from ddpm_cli.losses import Noised
from ddpm_cli.seeds import Purpose, keyed_normal, rng_at
from ddpm_cli.shapes import Uniforms
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
    places = torch.arange(mine.start, mine.stop, device=device)
    normal = partial(keyed_normal, seed=seed, step=step, images=places)
    t, eps = all_t[mine], normal(x0, purpose=Purpose.NOISE)
    if offset_noise:
        eps = eps + offset_noise * normal(x0[:, :, :1, :1], purpose=Purpose.OFFSET)
    label = batch.labels if denoiser.conditional else None
    if label is not None:
        kept = keyed_uniforms(seed, Purpose.LABELS, step, mine.stop)[mine] >= label_dropout
        label = to_device(label, device).where(to_device_of(kept, x0), -1)
    added = eps
    if input_perturbation:
        added = eps + input_perturbation * normal(x0, purpose=Purpose.PERTURBATION)
    x_t = denoiser.diffusion.add_noise(x0, added, t)
    if not isinstance(weight, float):
        weight = to_device_of(weight[mine].float(), x0)
    return Noised(x0, eps, x_t, t, label, weight, perturbed=input_perturbation > 0)


def keyed_uniforms(seed: int, purpose: Purpose, step: int, count: int) -> Uniforms:
    """Random numbers in [0, 1), one for each of the first `count` images of the global batch."""
    return torch.from_numpy(rng_at(seed, purpose, step).random(count))
