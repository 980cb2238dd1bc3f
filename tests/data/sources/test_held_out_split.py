"""An official split as held-out images: of folders, of data sets, and of streams."""

import datasets
import pytest
from image_folders import GREY, names, tree
from PIL import Image

from ddpm_cli.data import Preparation, folder, hub
from ddpm_cli.image_sets import assemble_image_set, decode_source, load_image_set
from ddpm_cli.preflight.image_checks import check_image_sets
from ddpm_cli.preflight.image_statistics import image_statistics
from ddpm_cli.recipes.facts import image_count

FEATURES = datasets.Features(image=datasets.Image(), kind=datasets.ClassLabel(names=["y", "x"]))
PHOTOS = [
    "train/cat/1.png",
    "train/cat/2.png",
    "train/dog/1.png",
    "test/cat/1.png",
    "test/dog/1.png",
]


def rows(*levels, features=FEATURES):
    images = [Image.new("L", (4, 4), level) for level in levels]
    kinds = [level % 2 for level in levels]
    return datasets.Dataset.from_dict({"image": images, "kind": kinds}, features=features)


def held_out_levels(source, holdout=0.5):
    """The levels of the training images and of those held out."""
    parts = load_image_set(source, GREY).split(holdout)
    return [part.all_images()[:, 0, 0, 0].tolist() for part in parts]


@pytest.fixture
def saved(tmp_path):
    """A saved data set of two splits."""
    splits = {"train": rows(10, 21, 30), "test": rows(40, 51)}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    return str(tmp_path / "saved")


@pytest.fixture
def sharded(tmp_path):
    """A folder of Parquet files of two splits."""
    rows(10, 21, 30).to_parquet(tmp_path / "set/train-0-of-1.parquet")
    rows(40, 51).to_parquet(tmp_path / "set/test-0-of-1.parquet")
    return str(tmp_path / "set")


def test_a_folder_gives_its_sub_folders_train_and_test(tmp_path):
    root = tree(tmp_path / "photos", PHOTOS)
    (root / "valid").mkdir()
    source = folder(path=str(root), held_out_split="test")
    assert names(source, root) == PHOTOS
    assert (source.classes, source.labels()) == (["cat", "dog"], [0, 0, 1, 0, 1])
    assert held_out_levels(source) == [[0, 1, 2], [3, 4]]


def test_a_saved_set_and_files_by_split_give_both_splits(saved, sharded):
    for path in (saved, sharded):
        source = hub(name=path, held_out_split="test")
        assert held_out_levels(source) == [[10, 21, 30], [40, 51]]
        assert (source.classes, source.labels()) == (["y", "x"], [0, 1, 0, 0, 1])
        assert image_count(source, 0.0) == 3


def test_of_a_stream_the_first_images_of_the_split_are_held_out(sharded):
    source = hub(name=sharded, held_out_split="test", streaming=True)
    assert held_out_levels(source) == [[10, 21, 30], [40, 51]]
    assert len(list(source.rows.table)) == 3
    assert ("held out", "the first 2 images of the split 'test'") in source.remarks


def test_the_held_out_images_are_part_of_version_and_fingerprint(saved):
    with_test, without = hub(name=saved, held_out_split="test"), hub(name=saved)
    assert with_test.version() != without.version()
    fingerprints = {load_image_set(each, GREY).fingerprint for each in (with_test, without)}
    assert len(fingerprints) == 2


def test_both_splits_lie_in_one_cache(sharded, tmp_path):
    cached = Preparation(size=4, channels=1, flip=False, cache=str(tmp_path / "cache"))
    source = hub(name=sharded, held_out_split="test")
    training, held_out = load_image_set(source, cached).split(0.0)
    assert (len(training.images), len(held_out.images)) == (3, 2)
    assert len([each for each in (tmp_path / "cache").iterdir() if each.is_dir()]) == 1


def test_an_unreadable_training_image_moves_no_held_out_image_into_training(tmp_path):
    root = tree(tmp_path / "photos", PHOTOS)
    (root / "train/cat/1.png").write_bytes(b"no image")
    skipping = Preparation(size=4, channels=1, flip=False, on_error="skip")
    data = load_image_set(folder(path=str(root), held_out_split="test"), skipping)
    assert [part.all_images()[:, 0, 0, 0].tolist() for part in data.split(0.0)] == [[1, 2], [3, 4]]


def test_copies_of_training_images_among_the_held_out_are_counted(tmp_path):
    root = tree(tmp_path / "photos", PHOTOS)
    Image.new("L", (4, 4), 1).save(root / "test/cat/1.png")
    source = folder(path=str(root), held_out_split="test")
    decoded = decode_source(source, GREY)
    data = assemble_image_set(decoded, source, GREY)
    statistics = image_statistics(decoded.images, decoded.records, data, 0.0)
    assert statistics.held_out.tolist() == [3, 4]
    assert 3 in statistics.leaked
    findings = [finding.text for finding in check_image_sets(data.split(0.0))]
    assert "1 held-out images are copies of training images (ddpm-data says more)" in findings


def test_pages_count_on_both_sides(tmp_path):
    root = tree(tmp_path / "photos", ["train/1.png", "test/1.png"])
    pages = [Image.new("L", (4, 4), level) for level in (60, 70)]
    pages[0].save(root / "train/2.tif", save_all=True, append_images=pages[1:])
    source = folder(path=str(root), held_out_split="test", pages="all")
    assert held_out_levels(source) == [[0, 60, 70], [1]]


def test_classes_in_another_order_are_refused(tmp_path):
    other = datasets.Features(image=datasets.Image(), kind=datasets.ClassLabel(names=["x", "y"]))
    splits = {"train": rows(10), "test": rows(10, features=other)}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    told = r"classes of the split 'test' must be those of 'train', 2 \(y, x\), but are 2 \(x, y\)"
    with pytest.raises(ValueError, match=told):
        hub(name=str(tmp_path / "saved"), held_out_split="test")


def test_sources_without_the_split_are_refused_in_one_line(tmp_path, saved):
    root = tree(tmp_path / "photos", [*PHOTOS, "valid/bird/1.png", "valid/cat/1.png"])
    with pytest.raises(
        ValueError,
        match=r"split 'valid' must be those of 'train', 2 \(cat, dog\), but are 2 \(bird",
    ):
        folder(path=str(root), held_out_split="valid")
    with pytest.raises(ValueError, match=r"path must be a folder, but there is none at '.*/dev'"):
        folder(path=str(root), held_out_split="dev")
    with pytest.raises(ValueError, match=r"labels must be null with held_out_split, but is 'a"):
        folder(path=str(root), held_out_split="test", labels="a.csv")
    rows(1).to_parquet(tmp_path / "one.parquet")
    with pytest.raises(
        ValueError, match=r"held_out_split must be null, because '.*' has no splits"
    ):
        hub(name=str(tmp_path / "one.parquet"), held_out_split="test")
    with pytest.raises(ValueError, match="held_out_split must not be 'train', the split of the"):
        hub(name=saved, held_out_split="train")
