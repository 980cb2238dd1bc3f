"""IDX files, the form of MNIST and its kin."""

import gzip
import os
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from idx_files import idx_bytes, write_idx, write_splits
from image_folders import names

from ddpm_cli.data import HeldOutSplit, Preparation, arrays, digits, idx, several
from ddpm_cli.data.sources import idx as reading
from ddpm_cli.image_sets import load_image_set

GREY = Preparation(size=3, channels=1, flip=False)
IMAGES = np.arange(4 * 3 * 3, dtype=np.uint8).reshape(4, 3, 3)
LABELS = np.array([7, 2, 2, 7], dtype=np.uint8)


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
    path = write_idx(tmp_path / images, IMAGES)
    write_idx(tmp_path / labels, LABELS)
    for source in (arrays(path=path), several(paths=[path])):
        assert (source.classes, list(source.labels())) == (["2", "7"], [1, 0, 0, 1])
        assert np.array_equal(load_image_set(source, GREY).images[:, 0].numpy(), IMAGES)


def test_images_without_a_file_of_labels_have_no_classes(tmp_path):
    source = arrays(path=write_idx(tmp_path / "images-idx3-ubyte", IMAGES))
    assert (source.count, source.classes) == (4, [])


def test_a_new_file_of_labels_is_another_version(tmp_path):
    path = write_idx(tmp_path / "images-idx3-ubyte", IMAGES)
    before = arrays(path=path).version()
    write_idx(tmp_path / "labels-idx1-ubyte", LABELS)
    assert arrays(path=path).version() != before


@pytest.mark.parametrize("change", [lambda content: content[:-1], lambda content: content + b"x"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_file_that_holds_fewer_or_more_numbers_than_it_says_is_refused(tmp_path, change, pack):
    (tmp_path / "x-idx3-ubyte").write_bytes(pack(change(idx_bytes(IMAGES))))
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
    (tmp_path / "x.gz").write_bytes(gzip.compress(idx_bytes(IMAGES) + bytes(10**7)))
    with pytest.raises(ValueError, match="its head says 36 bytes of numbers"):
        arrays(path=str(tmp_path / "x.gz"))


def test_a_fifo_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.npy")
    with pytest.raises(ValueError, match=r"x\.npy' is not a regular file"):
        arrays(path=str(tmp_path / "x.npy"))


def test_labels_of_another_number_than_the_images_are_refused(tmp_path):
    path = write_idx(tmp_path / "images-idx3-ubyte", IMAGES)
    write_idx(tmp_path / "labels-idx1-ubyte", LABELS[:3])
    with pytest.raises(ValueError, match="one for each of the 4 images"):
        arrays(path=path)


SPLITS = HeldOutSplit("test", 40)
FASHION = Path("/usr/share/datasets/fashion-mnist")  # of Debian's package dataset-fashion-mnist


def test_the_test_split_follows_the_training_images_and_is_held_out(tmp_path):
    images = write_splits(tmp_path)
    source = idx(path=str(tmp_path), held_out_split="test", classes=["shirt", "bag"])
    data = load_image_set(source, Preparation(size=8, channels=1, flip=False))
    assert np.array_equal(data.images[:, 0].numpy(), images)
    assert (source.held_out_split, data.classes) == (SPLITS, ["shirt", "bag"])
    assert data.labels.tolist() == [0, 1] * 26
    assert ("held out", "12 images of the split 'test'") in source.remarks
    assert names(source, "")[39:41] == [
        f"image 39 of '{tmp_path}/train-images-idx3-ubyte.gz'",
        f"image 0 of '{tmp_path}/t10k-images-idx3-ubyte.gz'",
    ]


def test_classes_that_a_split_lacks_keep_their_numbers(tmp_path):
    write_idx(tmp_path / "train-images-idx3-ubyte", IMAGES)
    write_idx(tmp_path / "train-labels-idx1-ubyte", LABELS)
    source = idx(path=str(tmp_path), classes=list("abcdefgh"))
    assert (source.classes, source.labels()) == (list("abcdefgh"), [7, 2, 2, 7])


def test_the_set_of_the_hub_is_read_where_no_idx_files_are(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(reading, "hub", lambda **options: asked.append(options) or digits())
    source = idx(
        path="nowhere", name="OWNER/NAME", held_out_split="test", classes=list("abcdefghij")
    )
    assert asked == [{"name": "OWNER/NAME", "split": "train", "held_out_split": "test"}]
    assert source.classes == list("abcdefghij")
    absence = "no IDX files of the split 'train' are in 'nowhere'"
    assert source.remarks == [("read", f"'OWNER/NAME' of the hub: {absence}")]
    write_splits(tmp_path)
    source = idx(path=str(tmp_path), name="OWNER/NAME")
    assert source.remarks == [("read", f"the IDX files in '{tmp_path}'")]


def test_a_set_of_the_hub_that_cannot_be_read_names_the_folder_too(monkeypatch):
    def refuse(**options):
        raise ValueError("cannot load the data set 'OWNER/NAME': no network")

    monkeypatch.setattr(reading, "hub", refuse)
    told = "no network; and no IDX files of the split 'train' are in 'nowhere'$"
    with pytest.raises(ValueError, match=told):
        idx(path="nowhere", name="OWNER/NAME")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"path": "nowhere"}, r"split 'train' \(train-images-idx3-ubyte, gzipped or not\), but 'n"),
        ({"held_out_split": "train"}, "held_out_split must not be 'train', the split of the train"),
        ({"held_out_split": "valid"}, r"IDX files of the split 'valid' \(valid-images-idx3-ubyte"),
        ({"classes": ["shirt"]}, r"classes must be 2 different names or more, but are 1 \(shirt\)"),
        ({"classes": ["a", "a"]}, r"2 different names or more, but are 2 \(a, a\)"),
    ],
)
def test_splits_and_classes_that_are_not_there_are_refused(tmp_path, options, told):
    write_splits(tmp_path)
    with pytest.raises(ValueError, match=told):
        idx(**{"path": str(tmp_path), **options})


def test_a_truncated_test_split_is_refused(tmp_path):
    write_splits(tmp_path)
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(idx_bytes(IMAGES)[:-1])
    with pytest.raises(ValueError, match="its head says 36 bytes of numbers"):
        idx(path=str(tmp_path), held_out_split="test")


@pytest.mark.skipif(not FASHION.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_the_installed_fashion_mnist_is_whole(composed):
    options = dict(composed("data", "data=fashion_mnist").data)
    source = idx(**{name: options[name] for name in ("path", "held_out_split")})
    assert (source.count, source.held_out_split) == (70000, replace(SPLITS, first=60000))
    assert np.bincount(source.labels()).tolist() == [7000] * 10
