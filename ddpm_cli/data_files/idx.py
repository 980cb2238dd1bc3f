"""Images and labels in IDX files, the form of MNIST and its kin (LeCun et al. 1998)."""

import gzip
import math
import re
import zlib
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddpm_cli.text import size_text

KINDS = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
GZIP = b"\x1f\x8b"
LARGEST_UNPACKED = 2**32  # the most bytes of a gzipped file in memory
IMAGES = re.compile(r"images([.-])idx\d")


def is_idx(path: Path) -> bool:
    """Whether a file is an IDX file, gzipped or not, by its first bytes."""
    if not path.is_file():
        return False
    try:
        with open_idx(path) as file:
            zeros, kind, axes = file.read(2), *file.read(2)
    except (OSError, EOFError, ValueError, zlib.error):  # ValueError: fewer than four bytes
        return False
    return zeros == b"\0\0" and kind in KINDS and 1 <= axes <= 4


def open_idx(path: Path) -> BufferedIOBase:
    """Open a file, through gzip if it is gzipped."""
    file = path.open("rb")
    gzipped = file.read(2) == GZIP
    file.seek(0)
    if not gzipped:
        return file
    file.close()
    return gzip.GzipFile(path)


def load_idx(path: Path) -> NDArray[Any]:
    """The array in an IDX file, mapped unless the file is gzipped.

    Raises ValueError if the file does not hold as many numbers as its head says.
    """
    with open_idx(path) as file:
        _, _, kind, axes = file.read(4)
        shape = tuple(np.frombuffer(file.read(4 * axes), ">u4").tolist())
        dtype, start = np.dtype(KINDS[kind]), 4 + 4 * axes
        size = math.prod(shape) * dtype.itemsize
        gzipped = isinstance(file, gzip.GzipFile)
        if gzipped and size > LARGEST_UNPACKED:
            raise ValueError(f"it would take {size_text(size)} of memory; unpack it with gunzip")
        content = file.read(size + 1) if gzipped else b""
    held = len(content) if gzipped else path.stat().st_size - start
    if len(shape) < axes or held != size:
        raise ValueError(f"its head says {size:,} bytes of numbers, but it has fewer or more")
    if not gzipped and size:
        return np.memmap(path, dtype, "r", start, shape)
    return np.frombuffer(content, dtype).reshape(shape)


def idx_labels_beside(path: Path) -> Path | None:
    """The file of labels beside a file of images: labels-idx1 beside images-idx3."""
    name = IMAGES.sub(r"labels\1idx1", path.name)
    plain = name.removesuffix(".gz")
    files = (path.with_name(each) for each in (name, plain, f"{plain}.gz") if name != path.name)
    return next(filter(is_idx, files), None)
