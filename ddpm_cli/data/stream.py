"""The endless stream of batches: order and flips are functions of (seed, position), so it starts anywhere at once."""

import signal
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from ddpm_cli.data.preparation import ImageSet
from ddpm_cli.seeds import Purpose, rng_at
from ddpm_cli.shapes import Bytes, Indices, Labels

ENDLESS = 2**40
Int64Array: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """Images as bytes, their labels if there are any, their indices in the data set; the place of the first in the global batch."""

    images: Bytes
    labels: Labels | None
    indices: Indices
    first: int = 0

    def pin_memory(self) -> "Batch":
        """The batch in pinned memory, from which a copy to a GPU need not be waited for."""
        labels = None if self.labels is None else self.labels.pin_memory()
        return replace(self, images=self.images.pin_memory(), labels=labels)


@dataclass(frozen=True)
class Stream(Dataset[Batch]):
    """The batch of any step, or of it the images at the places `part`: the same for any number of processes and workers.

    Each epoch has an order of its own; where one ends in the midst of a batch, the batch goes on with the next.
    """

    data: ImageSet
    batch_size: int
    seed: int
    flip: bool
    part: slice = field(default_factory=lambda: slice(None))

    def __getitem__(self, step: int) -> Batch:
        indices = torch.from_numpy(taken(len(self.data.images), self.batch_size, self.seed, step)[self.part])
        images = self.data.images[indices]
        if self.flip:
            mirrored = torch.from_numpy(rng_at(self.seed, Purpose.FLIP, step).random(self.batch_size)[self.part] < 0.5)
            images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
        labels, places = (each if each is None else each[indices] for each in (self.data.labels, self.data.places))
        return Batch(images, labels, indices if places is None else places, self.part.start or 0)


def batches(stream: Stream, *, start: int = 0, workers: int = 0, pin: bool = False) -> Iterator[Batch]:
    """The batches from step `start` on, prepared ahead by `workers` processes; in pinned memory if a GPU takes them."""
    own = torch.Generator()  # for a loader draws a seed at its start
    options: dict[str, Any] = {"num_workers": workers, "worker_init_fn": undisturbed, "generator": own, "pin_memory": pin}
    return iter(DataLoader(stream, batch_size=None, sampler=range(start, ENDLESS), **options))


def undisturbed(worker: int) -> None:
    """Leaves a request to stop to the process that trains: it ends its workers itself."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)


def taken(images: int, batch_size: int, seed: int, step: int) -> Int64Array:
    """The indices in the data set of a step's global batch."""
    epoch, place = divmod(step * batch_size, images)
    indices = order(images, seed, epoch)[place : place + batch_size]
    while len(indices) < batch_size:
        epoch += 1
        indices = np.concatenate([indices, order(images, seed, epoch)[: batch_size - len(indices)]])
    return indices


@lru_cache(2)
def order(images: int, seed: int, epoch: int) -> Int64Array:
    """The order of an epoch."""
    return rng_at(seed, Purpose.ORDER, epoch).permutation(images)
