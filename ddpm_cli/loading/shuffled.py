"""The endless stream of batches: order, windows and flips are functions of (seed, epoch, index), so it starts anywhere at once."""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from ddpm_cli.data.image_arrays import select_images
from ddpm_cli.data.image_set import ImageSet
from ddpm_cli.seeds import Purpose, rng_at
from ddpm_cli.shapes import Bytes, Indices, Labels, Larger, Pixels, Weights

ENDLESS = 2**40
Int64Array: TypeAlias = NDArray[np.int64]
Float32Array: TypeAlias = NDArray[np.float32]
Chance: TypeAlias = np.floating[Any]


@dataclass(frozen=True)
class Batch:
    """Images as bytes, their labels if there are any, their indices in the data set; the place of the first in the global batch.

    position: where a stream goes on after them.
    """

    images: Bytes
    labels: Labels | None
    indices: Indices
    first: int = 0
    position: str = ""

    def pin_memory(self) -> "Batch":
        """The batch in pinned memory, from which a copy to a GPU need not be waited for."""
        labels = None if self.labels is None else self.labels.pin_memory()
        return replace(self, images=self.images.pin_memory(), labels=labels)


@dataclass(frozen=True)
class Stream(Dataset[Batch]):
    """The batch of any step, or of it the images at the places `part`: the same for any number of processes and workers.

    Each epoch has an order of its own; where one ends in the midst of a batch, the batch goes on with the next. Whether an image is
    mirrored and which window is cut from it are functions of (seed, epoch, index).
    """

    data: ImageSet
    batch_size: int
    seed: int
    flip: bool
    part: slice = field(default_factory=lambda: slice(None))

    def __getitem__(self, step: int) -> Batch:
        epochs, places = np.divmod(
            np.arange(step * self.batch_size, (step + 1) * self.batch_size)[self.part],
            len(self.data.images),
        )
        indices = values_by_epoch(epochs, places, self.order)
        chosen = torch.from_numpy(indices)
        images = (
            self.windows(epochs, indices)
            if self.data.larger is not None
            else select_images(self.data.images, chosen)
        )
        if self.flip:
            mirrored = (
                values_by_epoch(epochs, indices, self.chance(Purpose.FLIP)) < 0.5
            ).nonzero()[0]
            images.numpy()[mirrored] = select_images(images, torch.from_numpy(mirrored)).flip(
                3
            )  # as index_copy_ does, five times as quick
        labels, places_in_all = (
            each if each is None else each[chosen] for each in (self.data.labels, self.data.places)
        )
        return Batch(
            images, labels, chosen if places_in_all is None else places_in_all, self.part.start or 0
        )

    def windows(self, epochs: Int64Array, indices: Int64Array) -> Bytes:
        """Windows of the images with a margin."""
        assert self.data.larger is not None
        larger = select_images(self.data.larger, torch.from_numpy(indices))
        down, across = (
            values_by_epoch(epochs, indices, self.chance(Purpose.CROP, axis)) for axis in (0, 1)
        )
        return torch.stack(
            [
                cut_window(*each, self.data.images.shape)
                for each in zip(larger, down, across, strict=True)
            ]
        )

    @cached_property
    def order(self) -> Callable[[int], Int64Array]:
        """The order of an epoch."""
        return lru_cache(2)(
            partial(epoch_order, len(self.data.images), self.data.weights, self.seed)
        )

    def chance(self, purpose: Purpose, axis: int = 0) -> Callable[[int], Float32Array]:
        """The numbers in [0, 1) of an epoch."""
        return partial(epoch_chances, len(self.data.images), self.seed, purpose, axis)


def batches(
    stream: Stream, *, start: int = 0, workers: int = 0, pin: bool = False
) -> Iterator[Batch]:
    """The batches from step `start` on, prepared ahead by `workers` processes; in pinned memory if a GPU takes them."""
    own = torch.Generator()  # for a loader draws a seed at its start
    forked = (
        "fork" if workers and sys.platform == "linux" else None
    )  # so that workers have the images without a copy
    options: dict[str, Any] = {
        "worker_init_fn": ignore_signals,
        "multiprocessing_context": forked,
        "generator": own,
        "pin_memory": pin,
    }
    return iter(
        DataLoader(
            stream, batch_size=None, sampler=range(start, ENDLESS), num_workers=workers, **options
        )
    )


def ignore_signals(worker: int) -> None:
    """Leaves a request to stop to the process that trains: it ends its workers itself."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)


def cut_window(image: Larger, down: Chance, across: Chance, shape: Sequence[int]) -> Pixels:
    """The window of height and width `shape[-2:]` that two chances choose."""
    height, width = shape[-2:]
    top, left = (
        int(down * (image.shape[1] - height + 1)),
        int(across * (image.shape[2] - width + 1)),
    )
    return image[:, top : top + height, left : left + width]


def values_by_epoch(
    epochs: Int64Array, keys: Int64Array, values: Callable[[int], NDArray[Any]]
) -> NDArray[Any]:
    """For each key the value of its epoch; the epochs ascend."""
    return np.concatenate(
        [values(epoch)[keys[epochs == epoch]] for epoch in np.unique(epochs).tolist()] or [keys]
    )


def epoch_order(images: int, weights: Weights | None, seed: int, epoch: int) -> Int64Array:
    """The indices of an epoch: each once, or with weights as often as is its share, rounded up or down (systematic sampling)."""
    rng = rng_at(seed, Purpose.ORDER, epoch)
    every = rng.permutation(images)
    if weights is None:
        return every
    alike = every[
        np.argsort(weights.numpy()[every], kind="stable")
    ]  # so that the shares of sources are met
    edges = np.cumsum(weights.numpy()[alike])
    picked = np.searchsorted(
        edges / edges[-1] * images, np.arange(images) + rng.random(), side="right"
    )
    return rng.permutation(alike[np.minimum(picked, images - 1)])


@lru_cache(6)
def epoch_chances(images: int, seed: int, purpose: Purpose, axis: int, epoch: int) -> Float32Array:
    """Numbers in [0, 1) for a purpose, one for each image in an epoch."""
    return rng_at(seed, purpose, epoch, axis).random(images, dtype=np.float32)
