"""Cells of tables, which may come from a stranger, name files of their own data set alone."""

import datasets
import pyarrow.parquet
import pytest
from PIL import Image

from ddpm_cli.data import Preparation, hub, several
from ddpm_cli.data.sources.cells import CellFiles
from ddpm_cli.image_sets import load_image_set

GREY = Preparation(size=4, channels=1, flip=False)
RULE = "a cell must name a file in the data set, relative to it or by hf:// in its own repository"


@pytest.fixture
def place(tmp_path):
    """A folder of a data set with an image, an image beside the folder, and a link to it."""
    (tmp_path / "set/images").mkdir(parents=True)
    Image.new("L", (4, 4), 10).save(tmp_path / "set/images/1.png")
    Image.new("L", (4, 4), 99).save(tmp_path / "secret.png")
    (tmp_path / "set/link.png").symlink_to("../secret.png")
    (tmp_path / "set/up").symlink_to("..")
    return tmp_path


def table(path, *names, **columns):
    """A Parquet file whose cells name files."""
    cells = [{"bytes": None, "path": name} for name in names]
    text, kind = datasets.Value("string"), {"bytes": datasets.Value("binary")}
    features = datasets.Features(image={**kind, "path": text})
    rows = datasets.Dataset.from_dict({"image": cells}, features=features)
    for name, values in columns.items():
        rows = rows.add_column(name, values)
    rows.to_parquet(path)
    return str(path)


@pytest.mark.parametrize("name", ["images/1.png", "./images/1.png", "images/../images/1.png"])
def test_a_cell_names_a_file_relative_to_its_table(place, name):
    source = hub(name=table(place / "set/x.parquet", name), image_column="image")
    assert source.open(0).getpixel((0, 0)) == 10


@pytest.mark.parametrize(
    "name",
    [
        "{}/set/images/1.png",
        "{}/secret.png",
        "/etc/hostname",
        "../secret.png",
        "link.png",
        "up/secret.png",
        "file://{}/set/images/1.png",
        "local://{}/secret.png",
        "http://127.0.0.1:1/1.png",
        "https://example.org/1.png",
        "zip://1.png::{}/set/x.zip",
        "reference://a::data:application/json;base64,e30=",
        "simplecache::http://127.0.0.1:1/1.png",
        "hf://datasets/other/set/1.png",
        "memory://1.png",
        "images/1.png\0",
        "",
    ],
)
def test_no_other_address_is_opened(place, name):
    path = table(place / "set/x.parquet", name.format(place))
    with pytest.raises(ValueError, match=f"cannot read any of the 1 images: .*{RULE}"):
        load_image_set(hub(name=path, image_column="image"), GREY)


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("hf://datasets/a/b@main/x/1.png", "hf://datasets/a/b@main/x/1.png"),
        ("hf://datasets/a/b/1.png", "hf://datasets/a/b/1.png"),
        ("x/1.png", "hf://datasets/a/b/x/1.png"),
        ("hf://datasets/a/bc/1.png", None),
        ("hf://datasets/a/b/../c/1.png", None),
        ("hf://a/b/1.png", None),
        ("zip://1.png::hf://datasets/a/b/x.zip", None),
        ("file:///etc/hostname", None),
        ("/etc/hostname", None),
        ("../1.png", None),
    ],
)
def test_a_cell_of_the_hub_names_files_of_its_own_repository(name, address):
    assert CellFiles(repository="a/b").address(name) == address


def test_a_streamed_table_is_believed_as_little(place):
    path = table(place / "set/x.parquet", "../secret.png", "images/1.png")
    source = hub(name=path, image_column="image", streaming=True)
    assert source.rows.files.open({"bytes": None, "path": "images/1.png"}).getpixel((0, 0)) == 10
    with pytest.raises(ValueError, match=RULE):
        source.open(0)


def test_a_cell_in_another_column_is_never_opened(place):
    features = datasets.Features(image=datasets.Image(), other=datasets.Image())
    image = {"bytes": (place / "set/images/1.png").read_bytes(), "path": None}
    rows = {"image": [image], "other": [{"bytes": None, "path": "reference://x"}]}
    schema = features.arrow_schema  # `datasets` itself would embed the file
    pyarrow.parquet.write_table(pyarrow.table(rows, schema=schema), place / "set/x.parquet")
    source = hub(name=str(place / "set/x.parquet"), image_column="image", label_column=None)
    assert source.open(0).getpixel((0, 0)) == 10


def test_images_that_datasets_finds_in_a_folder_or_a_zip_of_it_are_read(place):
    (place / "set/link.png").unlink()
    (place / "set/up").unlink()
    assert hub(name=str(place / "set")).open(0).getpixel((0, 0)) == 10


def test_several_reads_every_saved_set_that_hub_reads(place):
    features = datasets.Features(
        image=datasets.Image(), label=datasets.ClassLabel(names=["b", "a"])
    )
    images = [Image.new("L", (4, 4), level) for level in (1, 2)]
    rows = datasets.Dataset.from_dict({"image": images, "label": [0, 1]}, features=features)
    datasets.DatasetDict(train=rows, test=rows).save_to_disk(str(place / "dict"))
    rows.save_to_disk(str(place / "one"))
    (place / "tables/data").mkdir(parents=True)
    rows.to_parquet(str(place / "tables/data/train-00000-of-00001.parquet"))
    for name in ("dict", "one", "tables"):
        assert hub(name=str(place / name)).classes == ["b", "a"]
        source = several(paths=[str(place / name)])
        assert (source.count, source.classes, source.labels()) == (2, ["a", "b"], [1, 0])
