"""Images in a NumPy file."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ddpm_cli.data.sources.source import Source
from ddpm_cli.data.sources.versions import files_version


def arrays(*, path: str) -> Source:
    """The images [N, H, W] or [N, H, W, C], uint8 or uint16, of an .npy file, which is mapped, or of an .npz.

    C is 1 (grey), 2 (grey, alpha), 3 (RGB), 4 (RGB, alpha) or 5 (any). uint16 is scaled to 8 bits.

    An .npz has them under `images` or `arr_0`, and perhaps classes [N] as whole numbers under `labels` or `arr_1`.
    """
    images, labels = load_array(path)
    values, places = np.unique([] if labels is None else labels, return_inverse=True)
    pixels, classes = (
        images[..., 0] if images.shape[3:] == (1,) else images,
        [str(value) for value in values],
    )

    def opened(index: int) -> Image.Image | NDArray[np.uint8]:
        image = to_eight_bits(np.asarray(pixels[index]))
        return image if image.shape[2:] == (5,) else Image.fromarray(image)

    labelled, version = (
        places.tolist if classes else None,
        lambda: files_version([str(Path(path).expanduser())]),
    )
    return Source(
        len(images), opened, lambda index: f"image {index} of {path!r}", labelled, classes, version
    )


def load_array(path: str) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """The images of a file, and its labels if it has any; ValueError where they are none."""
    try:
        found = np.load(Path(path).expanduser(), mmap_mode="r", allow_pickle=False)
        held = {"images": found} if isinstance(found, np.ndarray) else found
        keys = [
            next((name for name in both if name in held), None)
            for both in (("images", "arr_0"), ("labels", "arr_1"))
        ]
        images, labels = (None if key is None else held[key] for key in keys)
    except (OSError, EOFError, MemoryError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"path must be an .npy or .npz file, but {path!r} cannot be read as one: {error}"
        ) from error
    if images is None or not array_images(images):
        told = sorted(held) if images is None else f"{images.dtype} {list(images.shape)}"
        raise ValueError(
            f"path must hold images of uint8 or uint16 [N, H, W] or [N, H, W, C], C of 1 to 5, but {path!r} holds {told}"
        )
    if labels is not None and (
        labels.shape != (len(images),) or labels.dtype.kind not in "iu" or (labels < 0).any()
    ):
        told = f"one for each of the {len(images):,} images, but are {labels.dtype} {list(labels.shape)}"
        raise ValueError(f"labels in {path!r} must be whole numbers from 0 on, {told}")
    return images, labels


def array_images(images: NDArray[Any]) -> bool:
    """Whether an array is of images."""
    bytes_each = images.dtype.itemsize if images.dtype.kind == "u" else 0
    return (
        bytes_each in (1, 2)
        and images.ndim in (3, 4)
        and images.size > 0
        and images.shape[3:] in ((), (1,), (2,), (3,), (4,), (5,))
    )


def to_eight_bits(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Bytes as they are, and 16 bits scaled so that white stays white."""
    return image if image.dtype == np.uint8 else np.rint(image / 257).astype(np.uint8)
