"""Losses on images, noise and times that are fixed for a run, so that its steps compare."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from einops import rearrange

from ddpm_cli.denoiser import Denoiser
from ddpm_cli.images import Batch
from ddpm_cli.losses import Loss
from ddpm_cli.parallel import ProcessGroup
from ddpm_cli.seeds import Purpose
from ddpm_cli.shapes import Fixed
from ddpm_cli.train_times import History, stratified
from ddpm_cli.training.noising import keyed_uniforms, noise_batch

if TYPE_CHECKING:
    from ddpm_cli.image_sets import ImageSet

IMAGES, QUARTERS = 32, 4


@torch.no_grad()
def fixed_losses(
    denoisers: Sequence[Denoiser],
    loss: Loss,
    data: "ImageSet",
    *,
    key: int,
    seed: int,
    size: int,
    group: ProcessGroup,
) -> Fixed:
    """The loss of each denoiser at a time of each quarter, for up to 32 images spread over the set.

    The times of a quarter are stratified over its images. key: separates the noise from the noise
    of another set of images. size: images at once.
    """
    subset = data.subset(
        torch.linspace(0, len(data.images) - 1, min(IMAGES, len(data.images))).long()
    )
    count, device = QUARTERS * len(subset.images), denoisers[0].device
    times = stratified(
        keyed_uniforms(seed, Purpose.TIMES, key, count), History(denoisers[0].diffusion)
    )
    values, mine = torch.zeros(len(denoisers), count, device=device), group.slice_of(count)
    for first in range(mine.start, mine.stop, size):
        places = torch.arange(first, min(first + size, mine.stop))
        images = places % len(subset.images)
        batch = Batch(
            subset.images[images],
            None if subset.labels is None else subset.labels[images],
            images,
            first,
        )
        noisy = noise_batch(denoisers[0], batch, seed, key, device, times=times)
        for row, denoiser in zip(values, denoisers, strict=True):
            row[first : first + len(places)] = loss(denoiser, noisy)
    return rearrange(
        group.sum(values).cpu().double(),
        "denoisers (quarters images) -> denoisers quarters images",
        quarters=QUARTERS,
    )
