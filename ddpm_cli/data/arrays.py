"""Images in a NumPy file."""

import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from ddpm_cli.data.sources import Source

CHANNELS = ((), (1,), (3,), (4,))


def arrays(*, path: str) -> Source:
    """The uint8 images [N, H, W] or [N, H, W, C], C of 1, 3 or 4, of an .npy file, which is mapped, or of an .npz.

    An .npz has them under `images` or `arr_0`, and perhaps classes [N] as whole numbers under `labels` or `arr_1`.
    """
    file = Path(path).expanduser()
    try:
        found = np.load(file, mmap_mode="r", allow_pickle=False)
        held = {"images": found} if isinstance(found, np.ndarray) else found
        keys = [next((name for name in both if name in held), None) for both in (("images", "arr_0"), ("labels", "arr_1"))]
        images, labels = (None if key is None else held[key] for key in keys)
    except (OSError, EOFError, MemoryError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"path must be an .npy or .npz file, but {path!r} cannot be read as one: {error}") from error
    if images is None or images.dtype != np.uint8 or images.ndim not in (3, 4) or 0 in images.shape or images.shape[3:] not in CHANNELS:
        told = sorted(held) if images is None else f"{images.dtype} {list(images.shape)}"
        raise ValueError(f"path must hold images of uint8 [N, H, W] or [N, H, W, C], C of 1, 3 or 4, but {path!r} holds {told}")
    if labels is not None and (labels.shape != (len(images),) or labels.dtype.kind not in "iu" or (labels < 0).any()):
        told = f"one for each of the {len(images):,} images, but are {labels.dtype} {list(labels.shape)}"
        raise ValueError(f"labels in {path!r} must be whole numbers from 0 on, {told}")
    values, places = np.unique([] if labels is None else labels, return_inverse=True)
    pixels, classes = images[..., 0] if images.shape[3:] == (1,) else images, [str(value) for value in values]

    def opened(index: int) -> Image.Image:
        return Image.fromarray(np.asarray(pixels[index]))

    return Source(len(images), opened, lambda index: f"image {index} of {path!r}", places.tolist if classes else None, classes)
