"""Losses on images, noise and times that stay the same all through a run, so that two of its steps can be compared."""

from collections.abc import Sequence

import torch
from einops import rearrange

from ddpm_cli.data import ImageSet
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.loading import Batch
from ddpm_cli.losses import Loss
from ddpm_cli.parallel import ProcessGroup
from ddpm_cli.seeds import Purpose
from ddpm_cli.shapes import Fixed
from ddpm_cli.train_times import History, stratified
from ddpm_cli.training.noising import keyed_uniforms, noise_batch

IMAGES, QUARTERS = 32, 4


@torch.no_grad()
def fixed_losses(
    denoisers: Sequence[Denoiser],
    loss: Loss,
    data: ImageSet,
    *,
    key: int,
    seed: int,
    size: int,
    group: ProcessGroup,
) -> Fixed:
    """The loss of each denoiser at a time of each quarter of all times, for up to 32 images spread over the set.

    The times of a quarter are stratified over its images. key: sets apart what is drawn for another set. size: images at once.
    """
    few = data.chosen(torch.linspace(0, len(data.images) - 1, min(IMAGES, len(data.images))).long())
    count, device = QUARTERS * len(few.images), denoisers[0].device
    drawn = stratified(
        keyed_uniforms(seed, Purpose.TIMES, key, count), History(denoisers[0].diffusion)
    )
    found, mine = torch.zeros(len(denoisers), count, device=device), group.slice_of(count)
    for first in range(mine.start, mine.stop, size):
        places = torch.arange(first, min(first + size, mine.stop))
        images = places % len(few.images)
        batch = Batch(
            few.images[images], None if few.labels is None else few.labels[images], images, first
        )
        noisy = noise_batch(denoisers[0], batch, seed, key, device, drawn=drawn)
        for row, denoiser in zip(found, denoisers, strict=True):
            row[first : first + len(places)] = loss(denoiser, noisy)
    return rearrange(
        group.sum(found).cpu().double(),
        "denoisers (quarters images) -> denoisers quarters images",
        quarters=QUARTERS,
    )
