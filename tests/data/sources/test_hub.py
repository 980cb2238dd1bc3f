"""Sources: the shipped digits, folders, files and names."""

import os
from io import BytesIO
from types import SimpleNamespace

import datasets
import numpy as np
import pytest
from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError
from PIL import Image
from sklearn.datasets import load_digits

from ddpm_cli.data import Preparation, digits, folder, hub
from ddpm_cli.image_sets import load_image_set

GREY = Preparation(size=4, channels=1, flip=False)


@pytest.fixture
def photos(tmp_path):
    names = ["roses/a b.png", "roses/test_1.png", "tulips/é.jpg", "tulips/train.png"]
    for index, name in enumerate(names):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (5, 5), 60 * index).save(path)
    return tmp_path / "photos"


@pytest.fixture
def rows():
    features = datasets.Features(
        picture=datasets.Image(),
        kind=datasets.ClassLabel(names=["x", "y"]),
        note=datasets.Value("string"),
    )
    images = [Image.new("L", (4, 4), level) for level in (10, 200)]
    return datasets.Dataset.from_dict(
        {"picture": images, "kind": [1, 0], "note": ["", ""]}, features=features
    )


def test_the_digits_are_those_of_the_original(monkeypatch):
    data = load_image_set(digits(), Preparation(size=8, channels=1, flip=False))
    original = load_digits()
    assert data.classes == [str(digit) for digit in range(10)]
    assert np.array_equal(data.images[:, 0].numpy(), np.rint(original.images * 255 / 16))
    assert np.array_equal(data.labels.numpy(), original.target)


def test_a_folder_gives_all_its_images_whatever_they_are_called(photos):
    data = load_image_set(folder(path=str(photos)), GREY)
    assert data.classes == ["roses", "tulips"]
    assert sorted(data.labels.tolist()) == [0, 0, 1, 1]
    assert sorted(data.images[:, 0, 0, 0].tolist()) == pytest.approx([0, 60, 120, 180], abs=2)


def test_a_flat_folder_has_no_classes(photos):
    source = folder(path=str(photos / "roses"))
    assert (source.count, source.classes, source.labels) == (2, [], None)


def test_other_files_beside_images_are_left_alone(photos):
    (photos / "roses/notes.txt").write_text("not an image")
    assert folder(path=str(photos)).count == 4


def test_lists_beside_images_hide_none_of_them(photos):
    (photos / "roses/metadata.csv").write_text("file_name,note\na b.png,nice\n")
    assert folder(path=str(photos)).count == 4


def test_a_folder_may_be_called_anything(photos, tmp_path):
    photos.rename(tmp_path / "br[1]{2}*")
    assert folder(path=str(tmp_path / "br[1]{2}*")).count == 4


def test_a_column_without_a_type_can_be_named(tmp_path):
    file = BytesIO()
    Image.new("L", (4, 4), 10).save(file, "png")
    datasets.Dataset.from_dict({"picture": [{"bytes": file.getvalue(), "path": None}]}).to_parquet(
        tmp_path / "plain.PARQUET"
    )
    assert load_image_set(
        hub(name=str(tmp_path / "plain.PARQUET"), image_column="picture"), GREY
    ).images.unique().tolist() == [10]


@pytest.mark.parametrize("kind", ["parquet", "arrow", "disk"])
def test_local_files_find_their_columns(rows, tmp_path, kind):
    path = tmp_path / f"set.{kind}"
    {
        "parquet": rows.to_parquet,
        "disk": rows.save_to_disk,
        "arrow": lambda to: rows.save_to_disk(tmp_path / "all"),
    }[kind](path)
    arrow = next((tmp_path / "all").glob("*.arrow"), path) if kind == "arrow" else path
    data = load_image_set(hub(name=str(arrow)), GREY)
    assert data.classes == ["x", "y"]
    assert data.labels.tolist() == [1, 0]
    assert data.images[:, 0, 0, 0].tolist() == [10, 200]


def test_columns_can_be_named_and_labels_left_out(rows, tmp_path):
    rows.to_parquet(tmp_path / "set.parquet")
    named = hub(name=str(tmp_path / "set.parquet"), image_column="picture", label_column=None)
    assert (named.open(0).getpixel((0, 0)), named.labels) == (10, None)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"image_column": "note"}, "no column 'note' of kind Image; there are"),
        (
            {"label_column": "none"},
            "no column 'none' of kind ClassLabel, whole numbers or text; there are",
        ),
        (
            {"label_column": "picture"},
            "no column 'picture' of kind ClassLabel, whole numbers or text; there are",
        ),
    ],
)
def test_columns_that_are_not_there_are_told(rows, tmp_path, options, told):
    rows.to_parquet(tmp_path / "set.parquet")
    with pytest.raises(ValueError, match=told):
        hub(name=str(tmp_path / "set.parquet"), **options)


def test_files_that_are_no_data_set_are_told(tmp_path):
    (tmp_path / "set.csv").write_text("a,b")
    (tmp_path / "set.parquet").write_text("not parquet")
    with pytest.raises(
        ValueError, match=r"name must be a data set, a folder, or a .parquet or .arrow file"
    ):
        hub(name=str(tmp_path / "set.csv"))
    with pytest.raises(ValueError, match="cannot read"):
        hub(name=str(tmp_path / "set.parquet"))


@pytest.mark.parametrize(
    ("values", "classes"),
    [([10, 9], ["9", "10"]), (["b", "a"], ["a", "b"]), (["a10", "a2"], ["a2", "a10"])],
)
def test_a_column_of_numbers_or_text_may_be_labels(rows, tmp_path, values, classes):
    rows.remove_columns("note").add_column("note", values).to_parquet(tmp_path / "set.parquet")
    source = hub(name=str(tmp_path / "set.parquet"), label_column="note")
    assert (source.classes, source.labels()) == (classes, [1, 0])


def test_of_columns_without_classes_none_is_taken_for_labels(rows, tmp_path):
    rows.remove_columns("kind").add_column("cls", [1, 2]).to_parquet(tmp_path / "set.parquet")
    assert hub(name=str(tmp_path / "set.parquet")).classes == []


def test_the_columns_of_a_webdataset_are_found(rows, tmp_path):
    columns = (
        rows.rename_columns({"picture": "jpg", "note": "__key__"})
        .remove_columns("kind")
        .add_column("cls", [10, 9])
    )
    columns.to_parquet(tmp_path / "set.parquet")
    source = hub(name=str(tmp_path / "set.parquet"))
    assert (source.open(0).getpixel((0, 0)), source.classes, source.labels()) == (
        10,
        ["9", "10"],
        [1, 0],
    )


def refusing(error):
    def load_dataset(name, split, streaming, cache_dir):
        raise error

    return load_dataset


LOCKED = "; if it is gated or private, set HF_TOKEN or run `hf auth login`"


def refused(status, told):
    return HfHubHTTPError(
        told, response=SimpleNamespace(status_code=status, headers={}, request=None)
    )


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            datasets.exceptions.DatasetNotFoundError("'a/b' is a gated dataset."),
            f"'a/b' is a gated dataset.{LOCKED}",
        ),
        (
            refused(403, "403 Client Error.\n\nForbidden"),
            "(403): set HF_TOKEN or run `hf auth login`, with a token that may do so",
        ),
        (refused(500, "500 Server\n\nError."), ": 500 Server Error."),
    ],
)
def test_an_error_of_the_hub_is_one_line_that_says_what_opens_a_locked_data_set(
    monkeypatch, error, told
):
    monkeypatch.setattr("ddpm_cli.hub.connection.is_online", lambda: True)
    monkeypatch.setattr("datasets.load_dataset", refusing(error))
    with pytest.raises(ValueError, match="cannot load the data set") as caught:
        hub(name="a/b")
    assert str(caught.value).endswith(told)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "config"),
    [("HF_HUB_OFFLINE", constants), ("HF_DATASETS_OFFLINE", datasets.config)],
)
def test_a_user_who_forbids_it_asks_no_hub(monkeypatch, variable, config):
    monkeypatch.setattr("ddpm_cli.hub.connection.is_online", lambda: pytest.fail("asked"))
    monkeypatch.setattr("datasets.load_dataset", refusing(ConnectionError("offline")))
    monkeypatch.setattr(config, "HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=f"{variable} forbids it, and no earlier download is in"):
        hub(name="a/b")


def replaced(path, levels):
    """A Parquet file of grey images of these levels that looks as old as the one before it."""
    features = datasets.Features(image=datasets.Image())
    before = path.stat() if path.exists() else None
    datasets.Dataset.from_dict(
        {"image": [Image.new("L", (4, 4), level) for level in levels]}, features=features
    ).to_parquet(path)
    if before:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_file_that_was_replaced_is_read_anew_though_it_looks_as_old(tmp_path):
    path = tmp_path / "set.parquet"
    for levels in ([10, 20], [30, 40]):
        replaced(path, levels)
        kept = Preparation(size=4, channels=1, flip=False, cache=f"{tmp_path}/kept")
        assert load_image_set(hub(name=str(path)), kept).images[:, 0, 0, 0].tolist() == levels


def naming(path, *names):
    """A Parquet file whose cells name files."""
    cells = [None if name is None else {"bytes": None, "path": str(name)} for name in names]
    features = datasets.Features(
        image={"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
    )
    datasets.Dataset.from_dict({"image": cells}, features=features).to_parquet(path)
    return hub(name=str(path), image_column="image")


def test_files_that_cells_name_are_part_of_the_version(tmp_path):
    Image.new("L", (4, 4), 10).save(tmp_path / "one.png")
    source = naming(tmp_path / "set.parquet", "one.png", None)
    before = source.version()
    assert source.open(0).getpixel((0, 0)) == 10
    Image.new("L", (4, 4), 20).save(tmp_path / "one.png")
    assert source.version() != before
    with pytest.raises(ValueError, match="it is null"):
        source.open(1)


def test_a_cache_in_the_folder_of_a_data_set_is_no_part_of_it(rows, tmp_path):
    rows.save_to_disk(tmp_path / "set")
    options = Preparation(size=4, channels=1, flip=False, cache=f"{tmp_path}/set/kept")
    for _ in range(2):
        load_image_set(hub(name=str(tmp_path / "set")), options)
    assert len([path for path in (tmp_path / "set/kept").iterdir() if path.is_dir()]) == 1
