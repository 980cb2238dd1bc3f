"""Images in a NumPy file."""

import zipfile
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ddpm_cli.data.sources.source import Rules, Source, files_version
from ddpm_cli.files import user_path


def arrays(*, path: str, rules: Rules = 2) -> Source:
    """The images [N, H, W] or [N, H, W, C] of a mapped .npy file or an .npz, of any real numbers.

    C is 1 (grey), 2 (grey, alpha), 3 (RGB), 4 (RGB, alpha) or 5 (any).

    An .npz has images under `images` or `arr_0`, and perhaps classes [N] as whole numbers under
    `labels` or `arr_1`. rules: the version of the rules by which images and classes are read.
    """
    images, labels = load_array(path, rules)
    values, places = np.unique([] if labels is None else labels, return_inverse=True)
    pixels = images[..., 0] if images.shape[3:] == (1,) else images

    def open_image(index: int) -> Image.Image | NDArray[Any]:
        image = np.asarray(pixels[index])
        if image.dtype == bool:
            image = image * np.uint8(255)
        if image.dtype != np.uint8 and rules == 1:
            image = np.rint(image / 257).astype(np.uint8)  # white stays white
        is_pillow = image.dtype == np.uint8 and image.shape[2:] != (5,)
        return Image.fromarray(image) if is_pillow else image

    return Source(
        len(images),
        open_image,
        lambda index: f"image {index} of {path!r}",
        places.tolist if len(values) else None,
        [str(value) for value in values],
        lambda: files_version([str(user_path(path))]),
        rules=rules,
    )


def load_array(path: str, rules: Rules = 2) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Load a file's images, and its labels if any. Raises ValueError if it holds no images."""
    try:
        content = np.load(user_path(path), mmap_mode="r", allow_pickle=False)
        content = {"images": content} if isinstance(content, np.ndarray) else content
        keys = [
            next((name for name in names if name in content), None)
            for names in (("images", "arr_0"), ("labels", "arr_1"))
        ]
        images, labels = (None if key is None else content[key] for key in keys)
    except (OSError, EOFError, MemoryError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        reason = f"{path!r} cannot be read as one: {error}"
        raise ValueError(f"path must be an .npy or .npz file, but {reason}") from error
    if images is None or not is_image_array(images, rules):
        numbers = "uint8 or uint16" if rules == 1 else "numbers"
        kinds = f"{numbers} [N, H, W] or [N, H, W, C], C of 1 to 5"
        held = sorted(content) if images is None else f"{images.dtype} {list(images.shape)}"
        raise ValueError(f"path must hold images of {kinds}, but {path!r} holds {held}")
    if labels is not None and (
        labels.shape != (len(images),) or labels.dtype.kind not in "iu" or (labels < 0).any()
    ):
        rule = f"whole numbers from 0 on, one for each of the {len(images):,} images"
        held = f"{labels.dtype} {list(labels.shape)}"
        raise ValueError(f"labels in {path!r} must be {rule}, but are {held}")
    return images, labels


def is_image_array(images: NDArray[Any], rules: Rules) -> bool:
    """Whether an array holds images."""
    return (
        images.dtype.kind in "biuf"
        and (rules != 1 or images.dtype.name in ("uint8", "uint16"))
        and images.ndim in (3, 4)
        and images.size > 0
        and images.shape[3:] in ((), (1,), (2,), (3,), (4,), (5,))
    )
