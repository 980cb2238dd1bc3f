"""IDX files, the form of MNIST and its kin."""

import gzip
import struct

import numpy as np


def idx_bytes(array, kind=8):
    """The content of an IDX file."""
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape)
    return head + array.tobytes()


def write_idx(path, array):
    """An IDX file, gzipped by its name."""
    content = idx_bytes(array)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return str(path)


def write_splits(folder, *, training=40, test=12, side=8, classes=2):
    """A folder like MNIST's, whose images differ and whose classes are as frequent."""
    folder.mkdir(parents=True, exist_ok=True)
    count = training + test
    images = np.random.default_rng(0).integers(0, 256, (count, side, side), dtype=np.uint8)
    labels = (np.arange(count) % classes).astype(np.uint8)
    for name, part in (("train", slice(training)), ("t10k", slice(training, None))):
        write_idx(folder / f"{name}-images-idx3-ubyte.gz", images[part])
        write_idx(folder / f"{name}-labels-idx1-ubyte.gz", labels[part])
    return images
