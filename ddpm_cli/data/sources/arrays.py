"""Images in a NumPy or IDX file."""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ddpm_cli.data.sources.source import Source, files_version
from ddpm_cli.data_files.idx import idx_labels_beside, is_idx, load_idx
from ddpm_cli.data_files.labels import Rules
from ddpm_cli.files import regular_file, user_path


def arrays(*, path: str, rules: Rules = 2) -> Source:
    """The images [N, H, W] or [N, H, W, C] of a mapped .npy file or an .npz, of any real numbers.

    C is 1 (grey), 2 (grey, alpha), 3 (RGB), 4 (RGB, alpha) or 5 (any).

    An .npz has images under `images` or `arr_0`, and perhaps classes [N] as whole numbers under
    `labels` or `arr_1`. An IDX file (MNIST and its kin) may be gzipped; its classes are those of
    the file train-labels-idx1-ubyte beside train-images-idx3-ubyte, if there is one.
    rules: the version of the rules by which images and classes are read.
    """
    files = array_files(path)
    images, labels = load_array(path, files, rules)
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
        lambda: files_version(map(str, files)),
        rules=rules,
    )


def array_files(path: str) -> list[Path]:
    """The file of images, and the IDX file of their labels if there is one."""
    images = user_path(path)
    labels = idx_labels_beside(images) if is_idx(images) else None
    return [images, *([labels] if labels else [])]


def load_array(
    path: str, files: Sequence[Path], rules: Rules
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Load the images, and the labels if any. Raises ValueError if there are no images."""
    try:
        if is_idx(files[0]):
            content = dict(zip(("images", "labels"), map(load_idx, files), strict=False))
        else:
            content = np.load(regular_file(files[0]), mmap_mode="r", allow_pickle=False)
        content = {"images": content} if isinstance(content, np.ndarray) else content
        keys = [
            next((name for name in names if name in content), None)
            for names in (("images", "arr_0"), ("labels", "arr_1"))
        ]
        images, labels = (None if key is None else content[key] for key in keys)
    except (OSError, EOFError, MemoryError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        reason = f"{path!r} cannot be read as one: {error}"
        raise ValueError(f"path must be an .npy, .npz or IDX file, but {reason}") from error
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
