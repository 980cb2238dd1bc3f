"""The endless stream of batches, which starts at any step at once.

Order, crops and flips are functions of (seed, epoch, index).
"""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from ddpm_cli.image_sets.image_set import ImageSet
from ddpm_cli.images import Batch, ImageArray, select_images
from ddpm_cli.process.stop_signals import stop_signals
from ddpm_cli.seeds import Purpose, rng_at
from ddpm_cli.shapes import Bytes, Larger, Pixels, Weights

ENDLESS = 2**40
Int64Array: TypeAlias = NDArray[np.int64]
Float32Array: TypeAlias = NDArray[np.float32]
Chance: TypeAlias = np.floating[Any]


@dataclass(frozen=True)
class BatchDataset(Dataset[Batch]):
    """The batch of any step, or its images at the places `part`, for any number of workers.

    Each epoch has its own order. If an epoch ends within a batch, the batch goes on with the next
    epoch. Whether an image is mirrored, and its crop, are functions of (seed, epoch, index).
    """

    data: ImageSet
    batch_size: int
    seed: int
    flip: bool
    part: slice = field(default_factory=lambda: slice(None))

    def __getitem__(self, step: int) -> Batch:
        data, count = self.data, len(self.data.images)
        places = np.arange(step * self.batch_size, (step + 1) * self.batch_size)[self.part]
        epochs, places = np.divmod(places, count)
        order = partial(epoch_order, count, data.weights, self.seed)
        keys = values_by_epoch(epochs, places, order)
        indices = torch.from_numpy(keys)
        if data.larger is None:
            images = select_images(data.images, indices)
        else:
            images = self.random_crops(data.larger, epochs, keys)
        if self.flip:
            chances = values_by_epoch(epochs, keys, self.chance(Purpose.FLIP))
            mirrored = (chances < 0.5).nonzero()[0]
            # equal to index_copy_, but five times as fast
            flipped = select_images(images, torch.from_numpy(mirrored)).flip(3)
            images.numpy()[mirrored] = flipped
        labels = None if data.labels is None else data.labels[indices]
        whole = indices if data.places is None else data.places[indices]
        return Batch(images, labels, whole, self.part.start or 0)

    def random_crops(self, larger: ImageArray, epochs: Int64Array, keys: Int64Array) -> Bytes:
        """Random crops of images with a margin."""
        down, across = (
            values_by_epoch(epochs, keys, self.chance(Purpose.CROP, axis)) for axis in (0, 1)
        )
        shape = self.data.images.shape
        cuts = zip(select_images(larger, torch.from_numpy(keys)), down, across, strict=True)
        return torch.stack([cut_crop(*cut, shape) for cut in cuts])

    def chance(self, purpose: Purpose, axis: int = 0) -> Callable[[int], Float32Array]:
        """A function that returns an epoch's numbers in [0, 1) for a purpose."""
        return partial(epoch_chances, len(self.data.images), self.seed, purpose, axis)


def batches(
    stream: BatchDataset, *, start: int = 0, workers: int = 0, pin: bool = False
) -> Iterator[Batch]:
    """Yield the batches from step `start` on, which `workers` processes prepare ahead.

    pin: in pinned memory, for a GPU. Raises ValueError if the machine starts no such processes.
    """
    loader = DataLoader(
        stream,
        batch_size=None,
        sampler=range(start, ENDLESS),
        num_workers=workers,
        worker_init_fn=ignore_signals,
        # forked workers share the images without a copy
        multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
        # the loader draws a seed at its start, not from the global generator
        generator=torch.Generator(),
        pin_memory=pin,
    )
    try:
        return iter(loader)
    except OSError as error:
        rule = f"trainer.workers={workers} needs processes with shared memory (/dev/shm)"
        raise ValueError(f"{rule}, but: {error.strerror}; choose trainer.workers=0") from error


def ignore_signals(worker: int) -> None:
    """Leave requests to stop to the training process, which ends its workers itself."""
    for number in stop_signals():
        signal.signal(number, signal.SIG_IGN)


def cut_crop(image: Larger, down: Chance, across: Chance, shape: Sequence[int]) -> Pixels:
    """Cut the crop of height and width `shape[-2:]` at the offset that two chances choose."""
    height, width = shape[-2:]
    top = int(down * (image.shape[1] - height + 1))
    left = int(across * (image.shape[2] - width + 1))
    return image[:, top : top + height, left : left + width]


def values_by_epoch(
    epochs: Int64Array, keys: Int64Array, values: Callable[[int], NDArray[Any]]
) -> NDArray[Any]:
    """The value of each key in its epoch; the epochs are in ascending order."""
    parts = [values(epoch)[keys[epochs == epoch]] for epoch in np.unique(epochs).tolist()]
    return np.concatenate(parts or [keys])


@lru_cache(2)
def epoch_order(images: int, weights: Weights | None, seed: int, epoch: int) -> Int64Array:
    """The indices of an epoch in their order.

    Without weights each index comes once. With weights it comes as often as its share of the
    images, rounded up or down (systematic sampling).
    """
    rng = rng_at(seed, Purpose.ORDER, epoch)
    every = rng.permutation(images)
    if weights is None:
        return every
    # sorted by weight, so that the shares of sources are met
    ordered = every[np.argsort(weights.numpy()[every], kind="stable")]
    edges = np.cumsum(weights.numpy()[ordered])
    points = np.arange(images) + rng.random()
    picks = np.searchsorted(edges / edges[-1] * images, points, side="right")
    return rng.permutation(ordered[np.minimum(picks, images - 1)])


@lru_cache(6)
def epoch_chances(images: int, seed: int, purpose: Purpose, axis: int, epoch: int) -> Float32Array:
    """Random numbers in [0, 1), one for each image in an epoch, for a purpose."""
    return rng_at(seed, purpose, epoch, axis).random(images, dtype=np.float32)
