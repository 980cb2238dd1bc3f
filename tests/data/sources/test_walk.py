"""Folders that hold links, FIFOs, images at several depths, and names of other encodings."""

import os
from pathlib import Path
from unicodedata import normalize

import pytest
from conftest import TINY
from image_folders import GREY, names, tree
from PIL import Image

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.cli.messages import one_line
from ddpm_cli.data import folder, several
from ddpm_cli.image_sets import load_image_set


def texts(source):
    return [f"{label} {text}" for label, text in source.remarks]


def test_class_folders_that_are_links_are_read(tmp_path):
    tree(tmp_path / "store", ["cat/1.png", "dog/1.png"])
    (tmp_path / "set").mkdir()
    for name in ("cat", "dog"):
        (tmp_path / "set" / name).symlink_to(tmp_path / "store" / name)
    source = folder(path=str(tmp_path / "set"))
    assert (source.count, source.classes, source.labels()) == (2, ["cat", "dog"], [0, 1])
    with pytest.raises(ValueError, match="path must hold images"):
        folder(path=str(tmp_path / "set"), rules=1)


def test_a_link_in_a_linked_folder_is_followed(tmp_path):
    tree(tmp_path / "far", ["1.png"])
    (tmp_path / "near").mkdir()
    (tmp_path / "near/more").symlink_to(tmp_path / "far")
    tree(tmp_path / "set", ["a.png"])
    (tmp_path / "set/near").symlink_to(tmp_path / "near")
    assert names(folder(path=str(tmp_path / "set")), tmp_path / "set") == [
        "a.png",
        "near/more/1.png",
    ]


@pytest.mark.parametrize("target", [".", "..", "../..", "../a", "b"])
def test_a_link_to_itself_to_a_parent_or_to_a_folder_of_the_set_is_read_once(tmp_path, target):
    tree(tmp_path / "set", ["a/1.png", "a/b/2.png"])
    tree(tmp_path, ["other.png"])
    (tmp_path / "set/a/again").symlink_to(target)
    source = folder(path=str(tmp_path / "set"))
    assert names(source, tmp_path / "set") == ["a/1.png", "a/b/2.png"]
    why = "links to folders that hold the link or are read already"
    assert f"left out 1 {why}: 'a/again'" in texts(source)


def test_two_links_that_hold_each_other_end(tmp_path):
    for one, other in (("x", "y"), ("y", "x")):
        tree(tmp_path / one, [f"{one}.png"])
        (tmp_path / one / other).symlink_to(tmp_path / other)
    assert names(folder(path=str(tmp_path / "x")), tmp_path / "x") == ["x.png", "y/y.png"]


def test_a_fifo_is_named_and_not_opened(tmp_path):
    tree(tmp_path, ["1.png"])
    os.mkfifo(tmp_path / "pipe.png")
    source = folder(path=str(tmp_path))
    assert source.count == 1
    assert texts(source) == ["left out 1 files that are no regular files: 'pipe.png'"]


@pytest.mark.parametrize("stray", ["preview.png", "cat/deeper/1.png"])
def test_one_image_at_another_depth_is_named_and_takes_no_classes_away(tmp_path, stray):
    tree(tmp_path, [*(f"{kind}/{n}.png" for kind in ("cat", "dog") for n in range(4)), stray])
    source = folder(path=str(tmp_path))
    assert (source.count, source.classes) == (8, ["cat", "dog"])
    assert texts(source) == [
        f"left out 1 images at another depth than the 8 in folders of classes: {stray!r}"
    ]
    before = folder(path=str(tmp_path), rules=1)
    assert (before.count, before.classes) == (9, [])


def test_many_images_at_another_depth_are_kept_and_their_number_is_told(tmp_path):
    tree(tmp_path, ["a/1.png", "a/2.png", "b/1.png", "c/d/1.png", "0.png"])
    source = folder(path=str(tmp_path))
    assert (source.count, source.classes) == (5, [])
    assert texts(source) == [
        "classes none, because the images lie at several depths: "
        "1 at depth 0, 3 at depth 1, 1 at depth 2"
    ]


def test_files_of_labels_keep_images_of_any_depth(tmp_path):
    tree(tmp_path / "set", ["a/1.png", "b/1.png", "0.png"])
    (tmp_path / "l.csv").write_text("file_name,label\n0.png,x\n")
    assert folder(path=str(tmp_path / "set"), labels=str(tmp_path / "l.csv")).count == 3


@pytest.mark.parametrize("name", [b"gr\xfcn", b"\xb0", b"\xa5\xe9"])
def test_a_name_that_is_not_in_utf8_is_a_class_with_escapes(tmp_path, name):
    tree(tmp_path, ["rot/1.png", "x/1.png"])
    os.rename(os.fsencode(tmp_path) + b"/x", os.fsencode(tmp_path) + b"/" + name)
    source = folder(path=str(tmp_path))
    class_name = os.fsdecode(name).encode("utf-8", "backslashreplace").decode()
    assert set(source.classes) == {"rot", class_name}
    assert any(class_name in source.name(index) for index in range(2))
    assert len(load_image_set(source, GREY).images) == 2
    assert source.version() == folder(path=str(tmp_path)).version()


def test_class_folders_whose_names_are_equal_in_unicode_are_one_class(tmp_path):
    spellings = [normalize(form, "blüte") for form in ("NFC", "NFD")]
    tree(tmp_path, [f"{spellings[0]}/1.png", f"{spellings[1]}/2.png", "ast/1.png"])
    assert folder(path=str(tmp_path)).classes == ["ast", spellings[0]]
    assert folder(path=str(tmp_path)).labels().count(1) == 2
    assert len(folder(path=str(tmp_path), rules=1).classes) == 3


def test_classes_of_several_sources_are_one_if_unicode_counts_them_as_equal(tmp_path):
    for form in ("NFC", "NFD"):
        tree(tmp_path / form, [f"{normalize(form, 'é')}/1.png", "z10/1.png", "z9/1.png"])
    paths = [str(tmp_path / form) for form in ("NFC", "NFD")]
    assert several(paths=paths).classes == ["z9", "z10", normalize("NFC", "é")]
    assert len(several(paths=paths, rules=1).classes) == 4


@pytest.mark.parametrize(("files", "listed"), [("NFD", "NFC"), ("NFC", "NFD"), ("NFC", "NFC")])
def test_files_of_labels_name_images_in_either_spelling(tmp_path, files, listed):
    tree(tmp_path / "set", [normalize(files, f"blüte_{number}.png") for number in range(4)])
    rows = "".join(normalize(listed, f"blüte_{n}.png,{n % 2}\n") for n in range(4))
    (tmp_path / "l.csv").write_text(f"file_name,label\n{rows}", "utf-8")
    source = folder(path=str(tmp_path / "set"), labels=str(tmp_path / "l.csv"))
    assert source.labels() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("/home/me/1.png", ", an absolute path; names are relative to the folder"),
        ("C:\\photos\\1.png", ", an absolute path; names are relative to the folder"),
        ("a\\1.png", ", with backslashes; folders are parted by /"),
        ("2.png", ""),
    ],
)
def test_what_is_wrong_with_a_name_in_a_file_of_labels_is_told(tmp_path, name, fault):
    tree(tmp_path / "set", ["a/1.png", "b/1.png"])
    (tmp_path / "l.csv").write_text(f"file_name,label\n{name},x\n")
    with pytest.raises(ValueError, match="labels must name each image") as caught:
        folder(path=str(tmp_path / "set"), labels=str(tmp_path / "l.csv"))
    assert str(caught.value) == (
        "labels must name each image of the folder once at most, "
        f"but {str(tmp_path / 'l.csv')!r} names {name!r}{fault}"
    )


def test_a_file_of_labels_that_is_a_fifo_is_not_waited_for(tmp_path):
    tree(tmp_path / "set", ["1.png"])
    os.mkfifo(tmp_path / "l.csv")
    with pytest.raises(ValueError, match=r"l\.csv' is not a regular file"):
        folder(path=str(tmp_path / "set"), labels=str(tmp_path / "l.csv"))


LATIN = [b"gr\xfcn", b"\xe9t\xe9"]


def photos_in_latin(root):
    """Class folders whose names are in Latin-1, with two images each."""
    for level, name in enumerate(LATIN):
        os.makedirs(os.fsencode(root) + b"/" + name)
        for number in range(2):
            path = os.fsdecode(os.fsencode(root) + b"/" + name + b"/\xb0%d.png" % number)
            Image.new("L", (8, 8), 100 * level + number).save(path)


def test_a_report_and_a_run_name_classes_that_are_not_in_utf8(command, tmp_path):
    photos_in_latin(tmp_path / "set")
    data = ["data=folder", "data.path=set", "data.size=8", "data.channels=1", "data.cache=off"]
    report = command("data", *data, "hydra.run.dir=out")
    assert report.code == 0, report.err
    assert "(gr\\udcfcn)" in report.out
    own = ["model.conditional=true", "trainer.batch_size=2", "trainer.steps=2", "data.holdout=0"]
    run = command("train", *TINY, *data, *own, "hydra.run.dir=run")
    assert run.code == 0, run.err
    checkpoint = Checkpoint.load(tmp_path / "run/checkpoints/last.safetensors", parts=())
    assert checkpoint.classes == ["gr\\udcfcn", "\\udce9t\\udce9"]


@pytest.mark.parametrize("option", ["data.path", "data.labels"])
def test_an_option_that_is_not_in_utf8_is_refused_before_anything_is_read(command, option):
    Path("x").mkdir()
    outcome = command("data", "data=folder", "data.path=x", f"{option}='gr\udcfcn'")
    assert (outcome.code, outcome.err) == (
        1,
        f"error: {option} must be text in UTF-8, but is 'gr\\udcfcn'; "
        "give a path such a name by a link (ln -s)\n",
    )


def test_a_path_that_is_not_in_utf8_is_told_in_one_line():
    with pytest.raises(UnicodeEncodeError) as caught:
        "/home/gr\udcfcn".encode()
    assert one_line(caught.value) == (
        r"a path or an option must be text in UTF-8, but is '/home/gr\udcfcn'"
    )


@pytest.mark.parametrize("name", [b"x" * 201, b"\xe9" * 34])
def test_a_class_whose_name_no_checkpoint_could_hold_is_refused_before_the_training(
    command, tmp_path, name
):
    photos_in_latin(tmp_path / "set")
    os.rename(os.fsencode(tmp_path) + b"/set/gr\xfcn", os.fsencode(tmp_path) + b"/set/" + name)
    outcome = command("train", *TINY, "data=folder", "data.path=set", "hydra.run.dir=run")
    assert outcome.code == 1
    assert outcome.err.startswith(
        "error: data: classes must be at most 65,536 with names of at most 200 characters, "
        f"but are 2, one of {201 if name[0] == 120 else 204} characters: "
    )
