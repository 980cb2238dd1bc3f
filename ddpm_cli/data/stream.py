"""The endless stream of batches: order and flips are functions of (seed, position), so it starts anywhere at once."""

from collections.abc import Iterator
from dataclasses import dataclass
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
    assert 1 <= batch_size <= len(data.images), "a batch holds no image twice"
    places = positions(len(data.images), batch_size, seed, start)
    return (batch_at(data, indices, seed, step, flip) for step, indices in places)


def positions(images: int, batch_size: int, seed: int, start: int) -> Iterator[tuple[int, Indices]]:
    """(step, indices in the data set) of every batch from `start` on."""
    epoch, order = -1, np.empty(0, dtype=np.int64)
    for step in count(start):
        first, place = divmod(step * batch_size, images)
        if first != epoch:
            epoch, order = first, permutation(images, seed, first)
        taken = order[place : place + batch_size]
        if len(taken) < batch_size:
            epoch, order = epoch + 1, permutation(images, seed, epoch + 1)
            taken = np.concatenate([taken, order[: batch_size - len(taken)]])
        yield step, torch.from_numpy(taken)


def permutation(images: int, seed: int, epoch: int) -> np.ndarray:
    """The order of one epoch."""
    return rng_at(seed, Purpose.ORDER, epoch).permutation(images)


def batch_at(data: ImageSet, indices: Indices, seed: int, step: int, flip: bool) -> Batch:
    """The images of one step, half of them mirrored if `flip`."""
    images = data.images[indices]
    if flip:
        mirrored = torch.from_numpy(rng_at(seed, Purpose.FLIP, step).random(len(images)) < 0.5)
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    return Batch(images, None if data.labels is None else data.labels[indices], indices)
