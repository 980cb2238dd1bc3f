"""The same images through every kind of source, and what is told of files that hold none."""

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY
from PIL import Image

from ddpm_cli.data import Preparation, archive, arrays, digits, folder, hub, prepared

GREY = Preparation(size=8, channels=1, flip=False)
KINDS = ["folder", "zip", "tar", "tar.gz", "npy", "npz", "parquet"]


@pytest.fixture(scope="module")
def whole():
    return prepared(digits(), GREY).chosen(torch.arange(0, 1797, 30))


@pytest.fixture(scope="module")
def exported(whole, tmp_path_factory):
    """A folder with some of the digits in every format."""
    root = tmp_path_factory.mktemp("formats")
    for index, (image, label) in enumerate(zip(whole.images, whole.labels.tolist(), strict=True)):
        (root / f"folder/{label}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0].numpy()).save(root / f"folder/{label}/{index:04d}.png")
    with zipfile.ZipFile(root / "all.zip", "w") as file:
        [file.write(path, path.relative_to(root / "folder")) for path in (root / "folder").rglob("*.png")]
    for name, mode in (("all.tar", "w"), ("all.tar.gz", "w:gz")):
        with tarfile.open(root / name, mode) as file:
            file.add(root / "folder", "digits")
    np.save(root / "all.npy", whole.images[:, 0].numpy())
    np.savez_compressed(root / "all.npz", images=whole.images.permute(0, 2, 3, 1).numpy(), labels=whole.labels.numpy())
    rows = digits_rows(whole)
    rows.to_parquet(root / "all.parquet")
    return root


def digits_rows(whole):
    import datasets

    features = datasets.Features(image=datasets.Image(), label=datasets.ClassLabel(names=whole.classes))
    images = [Image.fromarray(image[0].numpy()) for image in whole.images]
    return datasets.Dataset.from_dict({"image": images, "label": whole.labels.tolist()}, features=features)


def source(root, kind):
    options = {"path": str(root / ("folder" if kind == "folder" else f"all.{kind}"))}
    return {"folder": folder, "npy": arrays, "npz": arrays, "parquet": lambda path: hub(name=path)}.get(kind, archive)(**options)


def sorted_pairs(images, labels):
    """Images with their labels, in an order of their own."""
    return sorted((image.numpy().tobytes(), label) for image, label in zip(images, labels, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_gives_the_same_pixels_and_classes(whole, exported, kind):
    found = prepared(source(exported, kind), GREY)
    labels = whole.labels.tolist() if kind != "npy" else [None] * len(whole.images)
    assert found.classes == ([] if kind == "npy" else whole.classes)
    assert sorted_pairs(found.images, labels if found.labels is None else found.labels.tolist()) == sorted_pairs(whole.images, labels)


@pytest.mark.parametrize(("choice", "name"), [("archive", "all.zip"), ("archive", "all.tar.gz"), ("arrays", "all.npz")])
def test_a_run_trains_on_an_archive_or_an_array(command, exported, choice, name):
    there = [f"data={choice}", f"data.path={exported / name}", "data.size=8", "data.channels=1", "model.conditional=true"]
    outcome = command("train", *TINY, *there, "trainer.steps=2", "hydra.run.dir=run")
    assert outcome.code == 0, outcome.err
    assert "10 classes" in outcome.out


def test_links_in_an_archive_are_not_followed(tmp_path):
    Image.new("L", (4, 4), 7).save(tmp_path / "own.png")
    with tarfile.open(tmp_path / "x.tar", "w") as file:
        file.add(tmp_path / "own.png", "own.png")
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        file.addfile(link)
    assert archive(path=str(tmp_path / "x.tar")).count == 1


def test_a_damaged_image_in_an_archive_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr("a/good.png", png())
        file.writestr("a/bad.png", b"no image")
    with pytest.raises(ValueError, match=r"cannot read 'a/bad.png' in '.*x.zip': cannot identify image file"):
        prepared(archive(path=str(tmp_path / "x.zip")), GREY)


def png():
    file = io.BytesIO()
    Image.new("L", (4, 4), 7).save(file, "png")
    return file.getvalue()


def written(path, content):
    """A file with these bytes, or an array."""
    np.save(path, content) if isinstance(content, np.ndarray) else path.write_bytes(content)
    return str(path)


@pytest.mark.parametrize(
    ("read", "name", "content", "told"),
    [
        (archive, "x.zip", b"no archive", "path must be a zip or tar file, but .* cannot be read as one"),
        (archive, "x.tar", b"", "path must be a zip or tar file, but .* cannot be read as one"),
        (arrays, "x.npy", b"no array", "path must be an .npy or .npz file, but .* cannot be read as one"),
        (arrays, "x.npy", np.zeros((2, 4, 4)), r"path must hold images of uint8 .* holds float64 \[2, 4, 4\]"),
        (arrays, "x.npy", np.zeros((2, 4, 4, 2), dtype=np.uint8), r"C of 1, 3 or 4, but .* holds uint8 \[2, 4, 4, 2\]"),
        (arrays, "x.npy", np.array([{}]), "cannot be read as one: Array can't be memory-mapped: Python objects"),
    ],
)
def test_files_without_images_are_told(tmp_path, read, name, content, told):
    with pytest.raises(ValueError, match=told):
        read(path=written(tmp_path / name, content))


@pytest.mark.parametrize("read", [archive, arrays])
def test_files_that_are_not_there_are_told(tmp_path, read):
    with pytest.raises(ValueError, match=r"path must be an? "):
        read(path=str(Path(tmp_path, "none.zip")))


def test_labels_of_another_number_than_the_images_are_told(tmp_path):
    np.savez(tmp_path / "x.npz", images=np.zeros((3, 4, 4), dtype=np.uint8), labels=np.zeros(2, dtype=np.int64))
    with pytest.raises(ValueError, match=r"labels in .* must be whole numbers from 0 on, one for each of the 3 images"):
        arrays(path=str(tmp_path / "x.npz"))


def test_an_archive_without_images_is_told(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr("notes.txt", "nothing")
    with pytest.raises(ValueError, match=r"path must hold images \(.jpg, .png, ...\), but .* holds none"):
        archive(path=str(tmp_path / "x.zip"))


def test_a_bomb_in_an_archive_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("ddpm_cli.data.archives.LARGEST", 1000)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("bomb.png", bytes(10_000))
    with pytest.raises(ValueError, match=r"'bomb.png' in it would take 10,000 bytes, more than 1,000"):
        archive(path=str(tmp_path / "x.zip"))


def test_labels_of_an_array_are_classes_by_their_value_however_large(tmp_path):
    np.savez(tmp_path / "x.npz", images=np.zeros((3, 4, 4, 1), dtype=np.uint8), labels=np.array([2**62, 7, 7]))
    found = prepared(arrays(path=str(tmp_path / "x.npz")), GREY)
    assert (found.classes, found.labels.tolist()) == (["7", str(2**62)], [1, 0, 0])


@pytest.mark.parametrize(("kind", "cut"), [("zip", 600), ("tar.gz", 600), ("tar", 5000), ("tar", 5120)])
def test_a_damaged_archive_is_told_in_one_line(exported, tmp_path, kind, cut):
    content = bytearray((exported / f"all.{kind}").read_bytes())
    content[cut : cut + 400] = bytes(400)
    (tmp_path / f"x.{kind}").write_bytes(content)
    with pytest.raises(ValueError, match=r"cannot (be read as one|read '.*' in)"):
        prepared(archive(path=str(tmp_path / f"x.{kind}")), GREY)


def test_what_folders_leave_out_an_archive_leaves_out_too(tmp_path):
    names = ["a/1.png", "b/1.png", "__MACOSX/a/._1.png", "a/.hidden.png", "../out/1.png", "a/d.png/"]
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        [file.writestr(name, b"" if name.endswith("/") else png()) for name in names]
    source = archive(path=str(tmp_path / "x.zip"))
    assert (source.count, source.classes) == (2, ["a", "b"])


def test_folders_of_several_depths_are_no_classes(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        [file.writestr(name, png()) for name in ("1.png", "a/1.png", "b/1.png")]
    assert archive(path=str(tmp_path / "x.zip")).classes == []


def test_hard_links_in_a_tar_are_images(tmp_path):
    (tmp_path / "one.png").write_bytes(png())
    (tmp_path / "two.png").hardlink_to(tmp_path / "one.png")
    with tarfile.open(tmp_path / "x.tar", "w") as file:
        [file.add(tmp_path / name, name) for name in ("one.png", "two.png")]
    assert prepared(archive(path=str(tmp_path / "x.tar")), GREY).images.unique().tolist() == [7]
    assert archive(path=str(tmp_path / "x.tar")).count == 2


def test_a_tar_that_is_cut_off_is_told(tmp_path, exported):
    (tmp_path / "x.tar").write_bytes((exported / "all.tar").read_bytes()[: 512 * 9])
    with pytest.raises(ValueError, match="cannot be read as one"):
        archive(path=str(tmp_path / "x.tar"))
