"""IDX files, the form of MNIST and its kin."""

import gzip
import os
import struct

import numpy as np
import pytest

from ddpm_cli.data import Preparation, arrays, several
from ddpm_cli.image_sets import load_image_set

GREY = Preparation(size=3, channels=1, flip=False)
IMAGES = np.arange(4 * 3 * 3, dtype=np.uint8).reshape(4, 3, 3)
LABELS = np.array([7, 2, 2, 7], dtype=np.uint8)


def idx(array, kind=8):
    return (
        struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape) + array.tobytes()
    )


def write(path, array):
    content = idx(array)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return str(path)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
        ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
        ("t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte"),
        ("emnist-letters-test-images-idx3-ubyte.gz", "emnist-letters-test-labels-idx1-ubyte"),
    ],
)
def test_images_have_the_labels_of_the_file_beside_them(tmp_path, images, labels):
    path = write(tmp_path / images, IMAGES)
    write(tmp_path / labels, LABELS)
    for source in (arrays(path=path), several(paths=[path])):
        assert (source.classes, list(source.labels())) == (["2", "7"], [1, 0, 0, 1])
        assert np.array_equal(load_image_set(source, GREY).images[:, 0].numpy(), IMAGES)


def test_images_without_a_file_of_labels_have_no_classes(tmp_path):
    source = arrays(path=write(tmp_path / "images-idx3-ubyte", IMAGES))
    assert (source.count, source.classes) == (4, [])


def test_a_new_file_of_labels_is_another_version(tmp_path):
    path = write(tmp_path / "images-idx3-ubyte", IMAGES)
    before = arrays(path=path).version()
    write(tmp_path / "labels-idx1-ubyte", LABELS)
    assert arrays(path=path).version() != before


@pytest.mark.parametrize("change", [lambda content: content[:-1], lambda content: content + b"x"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file_that_holds_fewer_or_more_numbers_than_it_says_is_refused(tmp_path, change, pack):
    (tmp_path / "x-idx3-ubyte").write_bytes(pack(change(idx(IMAGES))))
    with pytest.raises(ValueError, match=r"path must be an \.npy, \.npz or IDX") as caught:
        arrays(path=str(tmp_path / "x-idx3-ubyte"))
    assert str(caught.value).endswith("its head says 36 bytes of numbers, but it has fewer or more")


def test_a_gzipped_file_that_says_it_is_huge_is_not_unpacked(tmp_path):
    head = struct.pack(">BBBB3I", 0, 0, 8, 3, 2**31, 2**10, 2**10)
    (tmp_path / "x.gz").write_bytes(gzip.compress(head + bytes(100)))
    with pytest.raises(
        ValueError, match=r"it would take 2048\.0 TiB of memory; unpack it with gunzip"
    ):
        arrays(path=str(tmp_path / "x.gz"))


def test_a_gzipped_file_that_unpacks_to_more_than_it_says_is_not_unpacked_whole(tmp_path):
    (tmp_path / "x.gz").write_bytes(gzip.compress(idx(IMAGES) + bytes(10**7)))
    with pytest.raises(ValueError, match="its head says 36 bytes of numbers"):
        arrays(path=str(tmp_path / "x.gz"))


def test_a_fifo_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.npy")
    with pytest.raises(ValueError, match=r"x\.npy' is not a regular file"):
        arrays(path=str(tmp_path / "x.npy"))


def test_labels_of_another_number_than_the_images_are_refused(tmp_path):
    path = write(tmp_path / "images-idx3-ubyte", IMAGES)
    write(tmp_path / "labels-idx1-ubyte", LABELS[:3])
    with pytest.raises(ValueError, match="one for each of the 4 images"):
        arrays(path=path)
