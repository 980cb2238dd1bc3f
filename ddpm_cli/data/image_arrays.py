"""Images as bytes wherever they lie: whatever has a shape and gives those at some indices."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from ddpm_cli.shapes import Bytes, Indices


@runtime_checkable
class ImageArray(Protocol):
    """Images [N, C, H, W]; a tensor is such, whether in memory or mapped from a file."""

    @property
    def shape(self) -> Sequence[int]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, indices: Indices) -> Bytes: ...


def select_images(pictures: ImageArray, indices: Indices) -> Bytes:
    """The images at these indices; of a tensor by NumPy, whose new memory costs less: five times as quick as torch's own indexing."""
    return (
        torch.from_numpy(pictures.numpy()[indices.numpy()])
        if isinstance(pictures, torch.Tensor)
        else pictures[indices]
    )


@dataclass(frozen=True)
class ImageSubset:
    """Some of the images of others, which are not copied."""

    pictures: ImageArray
    places: Indices

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.pictures.shape[1:])

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, indices: Indices) -> Bytes:
        return select_images(self.pictures, self.places[indices])


@dataclass(frozen=True)
class CentreCrop:
    """Windows about the centres of larger images."""

    pictures: ImageArray
    height: int
    width: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.pictures.shape[:2], self.height, self.width)

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, indices: Indices) -> Bytes:
        top, left = (
            (outer - inner) // 2
            for outer, inner in zip(self.pictures.shape[2:], self.shape[2:], strict=True)
        )
        return select_images(self.pictures, indices)[
            ..., top : top + self.height, left : left + self.width
        ]
