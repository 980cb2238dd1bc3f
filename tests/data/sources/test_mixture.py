"""Several sources as one."""

from importlib import import_module

import datasets
import numpy as np
import pytest
from PIL import Image

from ddpm_cli.data import Preparation, Source, several
from ddpm_cli.data.sources.mixture import open_source
from ddpm_cli.image_sets import load_image_set
from ddpm_cli.image_sets.image_set import image_weights

GREY = Preparation(size=4, channels=1, flip=False)


@pytest.fixture
def parts(tmp_path):
    """A folder of classes 10 and 9, an array of 9 and 11, one of none; each image has a shade."""
    for shade, name in ((1, "10/1.png"), (2, "9/1.png"), (3, "9/2.png")):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), shade).save(tmp_path / "photos" / name)
    np.savez(
        tmp_path / "some.npz",
        images=np.full((2, 4, 4), 4, dtype=np.uint8),
        labels=np.array([11, 9]),
    )
    np.save(tmp_path / "plain.npy", np.full((1, 4, 4), 5, dtype=np.uint8))
    return [str(tmp_path / name) for name in ("photos", "some.npz", "plain.npy")]


def test_images_follow_one_another_and_classes_of_one_name_are_one(parts):
    source = several(paths=parts)
    data = load_image_set(source, GREY)
    assert data.images[:, 0, 0, 0].tolist() == [1, 2, 3, 4, 4, 5]
    assert (source.classes, source.labels()) == (["9", "10", "11"], [1, 0, 0, 2, 0, None])
    assert [source.name(index).rpartition("/")[2] for index in (0, 2, 4, 5)] == [
        "1.png",
        "2.png",
        "some.npz'",
        "plain.npy'",
    ]
    assert source.parts is None


def test_sources_without_classes_have_none_together(parts):
    assert (several(paths=parts[2:] * 2).classes, several(paths=parts[2:] * 2).labels) == ([], None)


def test_weights_are_the_share_of_each_source_whatever_its_size(parts):
    assert several(paths=parts, weights=[3, 1, 0.5]).parts == [(3, 3), (2, 1), (1, 0.5)]


def test_shares_are_met_though_images_cannot_be_read():
    weights = image_weights([(3, 3.0), (4, 1.0)], np.array([0, 2, 3, 4, 5, 6]))
    assert [weights[:2].sum() / weights.sum(), weights[2:].sum() / weights.sum()] == pytest.approx(
        [0.75, 0.25]
    )
    assert len({*weights[:2]}) == len({*weights[2:]}) == 1


@pytest.mark.parametrize(
    "weights", [[1, 1], [1, 0, 1], [1, -1, 1], [1, float("nan"), 1], [1, float("inf"), 1]]
)
def test_weights_that_are_no_shares_are_told(parts, weights):
    with pytest.raises(
        ValueError,
        match="weights must be positive and finite, one for each of the 3 paths, but is ",
    ):
        several(paths=parts, weights=weights)


def test_no_path_is_told():
    with pytest.raises(ValueError, match=r"paths must name at least one source, but is \[\]"):
        several(paths=[])


def test_a_version_follows_the_order_and_each_of_the_sources(parts):
    first = several(paths=parts).version()
    assert several(paths=parts).version() == first
    np.save(parts[2], np.full((1, 4, 4), 6, dtype=np.uint8))
    assert len({first, several(paths=parts[::-1]).version(), several(paths=parts).version()}) == 3


def named(path):
    """A source of no images that is told by its class."""
    return Source(0, Image.open, str, None, [path], str)


@pytest.mark.parametrize(
    ("path", "reader"),
    [
        ("photos", "folder"),
        ("x.npy", "arrays"),
        ("x.NPZ", "arrays"),
        ("x.zip", "archive"),
        ("x.tar", "archive"),
        ("x.tar.gz", "archive"),
        ("x.tgz", "archive"),
        ("x.TAR.XZ", "archive"),
        ("x-*.tar", "archive"),
        ("x-{00..10}", "archive"),
        ("x.parquet", "hub"),
        ("x.arrow", "hub"),
        ("saved", "hub"),
        ("owner/name.zipped", "hub"),
    ],
)
def test_a_path_is_opened_by_what_it_is(tmp_path, monkeypatch, path, reader):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    datasets.Dataset.from_dict({"a": [1]}).save_to_disk("saved")
    monkeypatch.setattr(
        import_module("ddpm_cli.data.sources.mixture"),
        reader,
        lambda *, rules, pages=None, **options: named(*options.values()),
    )
    assert open_source(path).classes == [path]
