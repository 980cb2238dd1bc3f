"""Folders: what is an image in them, their order, classes, and files of labels."""

import datasets
import pytest
from image_folders import GREY, names, tree

from ddpm_cli.data import folder
from ddpm_cli.image_sets import load_image_set

TREE = [
    "a.png",
    "a b.png",
    "a/b.png",
    "a-b.png",
    "a/c/d.JPG",
    "A/z.png",
    "é/ü.jpg",
    "日本.png",
    "z/10.png",
]
ODD = ["z/9.png", "b[1]/{x}.png", "h/__y.png"]
HIDDEN = [".h.png", ".hd/x.png", "h/.x.png", "__pycache__/x.png", "h/__d/e.png", "notes.txt"]


def labels(source):
    return [None if label is None else source.classes[label] for label in source.labels()]


def test_images_are_in_the_order_of_their_names_as_imagefolder_has_them(tmp_path):
    tree(tmp_path, TREE + ODD + HIDDEN)
    rows = datasets.load_dataset(
        "imagefolder", data_dir=str(tmp_path), data_files={"train": "**"}, split="train"
    )
    paths = rows.cast_column("image", datasets.Image(decode=False))["image"]
    found = names(folder(path=str(tmp_path)), tmp_path)
    assert (
        found
        == sorted(TREE + ODD)
        == [image["path"].removeprefix(f"{tmp_path}/") for image in paths]
    )


@pytest.mark.parametrize(
    ("files", "classes"),
    [
        (["a/1.png", "b/1.png"], ["a", "b"]),
        (["x/a/1.png", "y/b/1.png", "y/a/1.png"], ["a", "b"]),
        (["10/1.png", "9/1.png", "a10/1.png", "a2/1.png"], ["9", "10", "a2", "a10"]),
        (["1.png", "2.png"], []),
        (["a/1.png", "a/2.png"], []),
        (["a/1.png", "b/c/1.png"], []),
    ],
)
def test_folders_of_one_depth_are_classes_where_there_are_several(tmp_path, files, classes):
    assert folder(path=str(tree(tmp_path, files))).classes == classes


def test_folders_of_numbers_are_classes_in_the_order_of_numbers(tmp_path):
    path = str(tree(tmp_path, ["2/1.png", "10/1.png", "1/1.png", "-3/1.png"]))
    assert folder(path=path).classes == ["-3", "1", "2", "10"]
    assert folder(path=path, rules=1).classes == ["-3", "1", "10", "2"]


def test_a_link_that_leads_nowhere_is_an_image_that_cannot_be_read(tmp_path):
    (tree(tmp_path, ["1.png"]) / "dead.png").symlink_to("nowhere")
    with pytest.raises(ValueError, match=r"cannot read .*/dead.png: .*No such file"):
        load_image_set(folder(path=str(tmp_path)), GREY)


def test_links_to_images_are_images_and_links_to_folders_are_not_followed(tmp_path):
    tree(tmp_path, ["1.png"])
    [
        (tmp_path / name).symlink_to(to)
        for name, to in (("2.png", "1.png"), ("loop", "."), ("loop.png", "."))
    ]
    assert names(folder(path=str(tmp_path)), tmp_path) == ["1.png", "2.png"]


def test_a_folder_that_is_a_link_is_read(tmp_path):
    tree(tmp_path / "real", ["1.png"])
    (tmp_path / "link").symlink_to("real")
    assert folder(path=str(tmp_path / "link")).count == 1


def test_the_version_of_a_folder_follows_its_files(tmp_path):
    tree(tmp_path, ["1.png", "2.png"])
    (tmp_path / "3.png").symlink_to("nowhere")
    first = folder(path=str(tmp_path)).version()
    assert folder(path=str(tmp_path)).version() == first
    (tmp_path / "2.png").rename(tmp_path / "4.png")
    renamed = folder(path=str(tmp_path)).version()
    (tmp_path / "4.png").touch()
    assert len({first, renamed, folder(path=str(tmp_path)).version()}) == 3


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("l.csv", 'label,file_name,note\n10,a/1.png,"x\ny"\n9,./2.png,\n,3.png,\n'),
        ("l.CSV", "\ufefffile_name,label\na/1.png,10\n2.png,9\n"),
        (
            "l.jsonl",
            '{"file_name": "a/1.png", "label": 10}\n\n{"file_name": "2.png", "label": "9"}\n'
            '{"file_name": "3.png", "label": ""}\n',
        ),
    ],
)
def test_a_file_may_say_the_labels(tmp_path, name, text):
    tree(tmp_path / "photos", ["2.png", "3.png", "a/1.png"])
    (tmp_path / name).write_text(text, "utf-8")
    source = folder(path=str(tmp_path / "photos"), labels=str(tmp_path / name))
    assert (source.classes, labels(source)) == (["9", "10"], ["9", None, "10"])
    assert load_image_set(source, GREY).labels.tolist() == [0, -1, 1]


@pytest.mark.parametrize(("rules", "classes"), [(1, ["10", "9", "b"]), (2, ["9", "10", "b"])])
def test_labels_of_numbers_and_text_are_in_their_natural_order(tmp_path, rules, classes):
    tree(tmp_path / "photos", ["1.png", "2.png", "3.png"])
    (tmp_path / "l.csv").write_text("file_name,label\n1.png,b\n2.png,10\n3.png,9\n")
    source = folder(path=str(tmp_path / "photos"), labels=str(tmp_path / "l.csv"), rules=rules)
    assert (source.classes, labels(source)) == (classes, ["b", "10", "9"])


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("l.txt", "", r"labels must be a \.csv or \.jsonl file, but is '.*l.txt'"),
        (
            "l.csv",
            "name,label\n1.png,a\n",
            r"labels must have file_name and label, .*, but '.*l.csv' has \['name', 'label'\]",
        ),
        (
            "l.jsonl",
            "[1]\n",
            r"labels must have file_name and label, and no cell .* in each row, but '.*l.jsonl' "
            r"has \[1\]",
        ),
        (
            "l.csv",
            "file_name,label\n1.png,a,b\n",
            r"and no cell without a column, in each row, but '.*l.csv' has",
        ),
        (
            "l.jsonl",
            '{"file_name": "1.png", "label": "\\ud800"}\n',
            r"labels must be printable text or numbers, but '1.png' in '.*l.jsonl' has",
        ),
        (
            "l.jsonl",
            "[" * 100_000,
            r"labels must be a .csv or .jsonl file, but '.*l.jsonl' cannot be read as one: ",
        ),
        (
            "l.csv",
            "file_name,label\n2.png,a\n",
            "labels must name each image of the folder once at most, but '.*l.csv' names '2.png'",
        ),
        (
            "l.csv",
            "file_name,label\n1.png,a\n./1.png,b\n",
            "once at most, but '.*l.csv' names './1.png'",
        ),
        (
            "l.csv",
            "file_name,label\n1.png,\n",
            "labels must hold a label, but '.*l.csv' holds none",
        ),
        ("l.csv", "", "labels must hold a label, but '.*l.csv' holds none"),
        (
            "l.csv",
            'file_name,label\n"1.png,a\n',
            "labels must be .* but '.*l.csv' cannot be read as one: unexpected end of data",
        ),
        (
            "l.jsonl",
            "no json\n",
            "labels must be .* but '.*l.jsonl' cannot be read as one: Expecting value",
        ),
        (
            "l.jsonl",
            '{"file_name": "1.png", "label": [1]}\n',
            r"labels must be printable text or numbers, but '1.png' in '.*l.jsonl' has \[1\]",
        ),
    ],
)
def test_files_of_labels_that_cannot_be_are_told(tmp_path, name, text, told):
    tree(tmp_path / "photos", ["1.png"])
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=told):
        folder(path=str(tmp_path / "photos"), labels=str(tmp_path / name))


def test_a_file_of_labels_that_is_not_there_is_told(tmp_path):
    tree(tmp_path, ["1.png"])
    with pytest.raises(
        ValueError, match=r"labels must be .* but 'none.csv' cannot be read as one: .*No such file"
    ):
        folder(path=str(tmp_path), labels="none.csv")
