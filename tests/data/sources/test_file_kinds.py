"""Files that are left out are counted, and pages of a file are told or read."""

import io
import json
import logging
import sys
import zipfile
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, features

from ddpm_cli.data import Preparation, archive, folder, several
from ddpm_cli.data.sources.file_kinds import readable_extensions
from ddpm_cli.data_files.labels import labels_of_dataset_tool
from ddpm_cli.image_sets import load_image_set
from ddpm_cli.images import known_formats

GREY = Preparation(size=4, channels=1, flip=False)


def saved(level=7, kind="png", pages=1, size=4):
    """An image of some pages, each brighter by one level."""
    file = io.BytesIO()
    first, *more = [Image.new("L", (size, size), level + 40 * page) for page in range(pages)]
    first.save(file, kind, **({"save_all": True, "append_images": more} if more else {}))
    return file.getvalue()


def write(root, files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return str(root)


def zipped(path, files):
    with zipfile.ZipFile(path, "w") as file:
        [file.writestr(name, content) for name, content in files.items()]
    return str(path)


def texts(source):
    return [f"{label} {text}" for label, text in source.remarks]


LEFT_OUT = {
    **{f"IMG_{number}.HEIC": b"" for number in range(3)},
    "a.jxl": b"",
    "b.CR2": b"",
    "c.nef": b"",
    "film.mp4": b"",
    "notes.txt": b"",
    "one.png": saved(),
}
REMARK = (
    "left out 7 files of kinds that are not read: 3 .heic, 1 .cr2, 1 .jxl, 1 .mp4, 1 .nef "
    "(in the clone, pip install '.[heif]' reads HEIC)"
)


@pytest.fixture
def without_heif(monkeypatch):
    monkeypatch.setattr("ddpm_cli.images.find_spec", lambda name: None)
    known_formats.cache_clear()
    readable_extensions.cache_clear()
    yield
    known_formats.cache_clear()
    readable_extensions.cache_clear()


@pytest.mark.parametrize("rules", [1, 2])
def test_files_of_other_kinds_are_counted_by_extension(tmp_path, without_heif, rules):
    in_folder = folder(path=write(tmp_path / "set", LEFT_OUT), rules=rules)
    in_zip = archive(path=zipped(tmp_path / "x.zip", LEFT_OUT), rules=rules)
    both = several(paths=[str(tmp_path / "set"), str(tmp_path / "x.zip")], rules=rules)
    assert texts(in_folder) == texts(in_zip) == [REMARK]
    assert texts(both) == [REMARK, REMARK]


def test_a_folder_of_other_kinds_alone_says_what_it_holds(tmp_path, without_heif):
    with pytest.raises(ValueError, match="path must hold images") as caught:
        folder(path=write(tmp_path, {"a.heic": b"", "b.mov": b""}))
    assert str(caught.value).endswith(
        "holds none; left out 2 files of kinds that are not read: 1 .heic, 1 .mov "
        "(in the clone, pip install '.[heif]' reads HEIC)"
    )


def test_heic_is_read_where_pillow_heif_is_installed(tmp_path, without_heif, monkeypatch):
    def register():
        Image.register_open("HEIF", Image.OPEN["PNG"][0], lambda start: start[:4] == b"\x89PNG")
        Image.register_extension("HEIF", ".heic")

    monkeypatch.setattr(Image, "OPEN", dict(Image.OPEN))
    monkeypatch.setattr(Image, "EXTENSION", dict(Image.EXTENSION))
    monkeypatch.setattr("ddpm_cli.images.find_spec", lambda name: name)
    module = SimpleNamespace(register_heif_opener=register)
    monkeypatch.setitem(sys.modules, "pillow_heif", module)
    source = folder(path=write(tmp_path, {"a.HEIC": saved(), "b.png": saved()}))
    assert (source.count, texts(source)) == (2, [])
    assert "HEIF" in known_formats()


@pytest.mark.parametrize("kind", ["avif", "webp", "qoi", "jpeg2000", "tga", "bmp", "gif"])
def test_what_pillow_opens_is_read_from_folders_and_archives(tmp_path, kind):
    if kind == "avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    extension = {"jpeg2000": "jp2"}.get(kind, kind)
    file = io.BytesIO()
    Image.new("RGB", (16, 16), (9, 9, 9)).save(file, kind)
    files = {f"1.{extension}": file.getvalue(), f"2.{extension.upper()}": file.getvalue()}
    for source in (
        folder(path=write(tmp_path / "set", files)),
        archive(path=zipped(tmp_path / "x.zip", files)),
    ):
        assert len(load_image_set(source, GREY).images) == 2


PAGES = {
    "a.tif": saved(1, "tiff", 3),
    "b.gif": saved(2, "gif", 2),
    "c.webp": saved(3, "webp", 2, size=16),
    "d.png": saved(4, "png", 4),
    "e.png": saved(5),
    "f.jpg": saved(6, "jpeg"),
}


def test_the_first_page_is_read_and_further_pages_are_told(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    source = folder(path=write(tmp_path, PAGES))
    assert len(load_image_set(source, GREY).images) == 6
    assert [record.getMessage() for record in caplog.records] == [
        "pages      4 files have 7 further pages, which are left out "
        "(data=folder, archive and several read them with data.pages=all)"
    ]


@pytest.mark.parametrize("packed", ["folder", "zip", "several"])
def test_every_page_is_an_image_with_the_label_of_its_file(tmp_path, caplog, packed):
    files = {f"{'x' if 'a' in name else 'y'}/{name}": each for name, each in PAGES.items()}
    write(tmp_path / "set", files)
    zipped(tmp_path / "set.zip", files)
    source = {
        "folder": lambda: folder(path=str(tmp_path / "set"), pages="all"),
        "zip": lambda: archive(path=str(tmp_path / "set.zip"), pages="all"),
        "several": lambda: several(paths=[str(tmp_path / "set")], pages="all"),
    }[packed]()
    caplog.set_level(logging.INFO)
    data = load_image_set(source, GREY)
    assert (source.count, data.labels.tolist()) == (13, [0] * 3 + [1] * 10)
    assert data.images[:3, 0, 0, 0].tolist() == [1, 41, 81]
    assert "a.tif" in source.name(2) and source.name(2).endswith(", page 3")
    assert not source.name(12).endswith("page 1")
    assert not caplog.records


def test_pages_change_the_version_of_a_source(tmp_path):
    write(tmp_path, PAGES)
    assert folder(path=str(tmp_path)).version() != folder(path=str(tmp_path), pages="all").version()


def test_a_file_that_claims_any_number_of_pages_is_read_by_its_first(tmp_path):
    content = saved(4, "png", 2)
    place = content.index(b"acTL") + 4
    chunk = b"acTL" + (2**31 - 1).to_bytes(4, "big") + content[place + 4 : place + 8]
    chunk += zlib.crc32(chunk).to_bytes(4, "big")
    write(tmp_path, {"x.png": content[: place - 4] + chunk + content[place + 12 :]})
    assert len(load_image_set(folder(path=str(tmp_path)), GREY).images) == 1
    assert folder(path=str(tmp_path), pages="all").count == 100_000


def dataset_tool(labels, count=4):
    """The files that NVlabs' dataset_tool writes."""
    names = [f"{number // 2:05d}/img{number:08d}.png" for number in range(count)]
    listing = {
        "labels": labels and [[name, label] for name, label in zip(names, labels, strict=False)]
    }
    return {**{name: saved() for name in names}, "dataset.json": json.dumps(listing).encode()}


@pytest.mark.parametrize(
    ("labels", "classes", "numbers"),
    [([6, 10, 2, 6], ["2", "6", "10"], [1, 2, 0, 1]), ([0, 1], ["0", "1"], [0, 1, None, None])],
)
def test_the_labels_of_dataset_tool_are_read_from_its_zip_or_folder(
    tmp_path, labels, classes, numbers
):
    files = dataset_tool(labels)
    for source in (
        archive(path=zipped(tmp_path / "x.zip", files)),
        folder(path=write(tmp_path / "set", files)),
        several(paths=[str(tmp_path / "x.zip")]),
    ):
        assert (source.classes, source.labels()) == (classes, numbers)


def test_a_set_of_dataset_tool_without_labels_has_no_classes(tmp_path):
    path = zipped(tmp_path / "x.zip", dataset_tool(None))
    assert archive(path=path).classes == []
    assert archive(path=path, rules=1).classes == ["00000", "00001"]


@pytest.mark.parametrize("content", [b"[]", b"{}", b"{", b'{"labels": 3}', b'{"labels": [1]}'])
def test_another_file_of_that_name_is_no_listing(content):
    assert labels_of_dataset_tool(content, ["a/1.png"]) is None


@pytest.mark.parametrize("label", [-1, 1.5, "x", [0, 1], True, None, 2**70])
def test_labels_of_dataset_tool_that_are_no_whole_numbers_are_refused(label):
    content = json.dumps({"labels": [["1.png", label]]}).encode()
    with pytest.raises(
        ValueError, match=r"labels in dataset\.json must be whole numbers from 0 on"
    ):
        labels_of_dataset_tool(content, ["1.png"])


def test_a_zip_with_a_lie_about_a_members_place_or_size_is_told(tmp_path):
    path = zipped(tmp_path / "x.zip", {"1.png": saved(), "2.png": saved()})
    content = bytearray((tmp_path / "x.zip").read_bytes())
    content[0:4] = b"none"
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(ValueError, match=r"'1.png' in .*it does not lie where the directory says"):
        load_image_set(archive(path=path), GREY)


def test_images_of_a_zip_are_what_its_members_hold_however_they_are_packed(tmp_path):
    levels = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: 2, zipfile.ZIP_BZIP2: 3}
    levels[zipfile.ZIP_LZMA] = 4
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        for kind, level in levels.items():
            file.writestr(f"{level}.png", saved(level), kind)
    data = load_image_set(archive(path=str(tmp_path / "x.zip")), GREY)
    assert np.array_equal(data.images[:, 0, 0, 0].numpy(), [1, 2, 3, 4])
