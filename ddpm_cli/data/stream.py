"""The endless stream of batches: order and flips are functions of (seed, position), so it starts anywhere at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import count

import numpy as np
import torch

from ddpm_cli.data.preparation import ImageSet
from ddpm_cli.seeds import Purpose, rng_at
from ddpm_cli.shapes import Bytes, Indices, Labels


@dataclass(frozen=True)
class Batch:
    """Images as bytes, their labels if there are any, their indices in the data set."""

    images: Bytes
    labels: Labels | None
    indices: Indices


def batches(data: ImageSet, *, batch_size: int, seed: int, flip: bool, start: int = 0) -> Iterator[Batch]:
    """The batches from step `start` on: each epoch a new order, a batch going on in the next where one ends."""
    for step, indices in positions(len(data.images), batch_size, seed, start):
        images = data.images[indices]
        if flip:
            mirrored = torch.from_numpy(rng_at(seed, Purpose.FLIP, step).random(batch_size) < 0.5)
            images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
        yield Batch(images, None if data.labels is None else data.labels[indices], indices)


def positions(images: int, batch_size: int, seed: int, start: int) -> Iterator[tuple[int, Indices]]:
    """(step, indices in the data set) of every batch from `start` on."""
    order = lru_cache(2)(lambda epoch: rng_at(seed, Purpose.ORDER, epoch).permutation(images))
    for step in count(start):
        epoch, place = divmod(step * batch_size, images)
        taken = order(epoch)[place : place + batch_size]
        while len(taken) < batch_size:
            epoch += 1
            taken = np.concatenate([taken, order(epoch)[: batch_size - len(taken)]])
        yield step, torch.from_numpy(taken)
