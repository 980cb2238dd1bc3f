"""Images in a NumPy file."""

import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from ddpm_cli.data.sources import Source


def arrays(*, path: str) -> Source:
    """The uint8 images [N, H, W] or [N, H, W, C], C of 1, 3 or 4, of an .npy file, which is mapped, or of an .npz.

    An .npz has them under `images` or `arr_0`, and perhaps classes [N] as whole numbers under `labels` or `arr_1`.
    """
    file = Path(path).expanduser()
    try:
        found = np.load(file, mmap_mode="r", allow_pickle=False)
        named = {name: found[name] for name in found.files} if isinstance(found, np.lib.npyio.NpzFile) else {"images": found}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"path must be an .npy or .npz file, but {path!r} cannot be read as one: {error}") from error
    images, labels = (named.get(name, named.get(other)) for name, other in (("images", "arr_0"), ("labels", "arr_1")))
    if images is None or images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 3, 4)):
        told = sorted(named) if images is None else f"{images.dtype} {list(images.shape)}"
        raise ValueError(f"path must hold images of uint8 [N, H, W] or [N, H, W, C], C of 1, 3 or 4, but {path!r} holds {told}")
    if labels is not None and (labels.shape != (len(images),) or labels.dtype.kind not in "iu" or (labels < 0).any()):
        raise ValueError(f"labels in {path!r} must be whole numbers from 0 on, one for each of the {len(images):,} images")
    values, places = np.unique([] if labels is None else labels, return_inverse=True)
    pixels, classes = images[..., 0] if images.shape[3:] == (1,) else images, [str(value) for value in values]

    def opened(index: int) -> Image.Image:
        return Image.fromarray(np.asarray(pixels[index]))

    return Source(len(images), opened, lambda index: f"image {index} of {path!r}", places.tolist if classes else None, classes)
