"""The same images through every kind of source, and what is told of files that hold none."""

import io
import os
import resource
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY
from PIL import Image

from ddpm_cli.data import Preparation, archive, arrays, digits, folder, hub, several
from ddpm_cli.data.sources.archives import matching_files
from ddpm_cli.image_sets import ImageSet, load_image_set

GREY = Preparation(size=8, channels=1, flip=False)
KINDS = {
    "folder": lambda root: folder(path=f"{root}/folder"),
    "folder and CSV": lambda root: folder(path=f"{root}/flat", labels=f"{root}/all.csv"),
    "folder and JSONL": lambda root: folder(path=f"{root}/flat", labels=f"{root}/all.jsonl"),
    "zip": lambda root: archive(path=f"{root}/all.zip"),
    "tar": lambda root: archive(path=f"{root}/all.tar"),
    "tar.gz": lambda root: archive(path=f"{root}/all.tar.gz"),
    "shards": lambda root: archive(path=f"{root}/shard-{{00..01}}.tar"),
    "npy": lambda root: arrays(path=f"{root}/all.npy"),
    "npz": lambda root: arrays(path=f"{root}/all.npz"),
    "parquet": lambda root: hub(name=f"{root}/all.parquet"),
    "arrow": lambda root: hub(name=f"{root}/rows/data-00000-of-00001.arrow"),
    "disk": lambda root: hub(name=f"{root}/rows"),
    "two halves": lambda root: several(paths=[f"{root}/shard-00.tar", f"{root}/shard-01.tar"]),
}


@pytest.fixture(scope="module")
def whole():
    data, few = load_image_set(digits(), GREY), torch.arange(0, 1797, 30)
    return ImageSet(data.all_images()[few], data.labels[few], data.classes)


@pytest.fixture(scope="module")
def exported(whole, tmp_path_factory):
    """A folder with some of the digits in every format."""
    root = tmp_path_factory.mktemp("formats")
    for index, (image, label) in enumerate(zip(whole.images, whole.labels.tolist(), strict=True)):
        (root / f"folder/{label}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0].numpy()).save(root / f"folder/{label}/{index:04d}.png")
    with zipfile.ZipFile(root / "all.zip", "w") as file:
        [
            file.write(path, path.relative_to(root / "folder"))
            for path in (root / "folder").rglob("*.png")
        ]
    for name, mode in (("all.tar", "w"), ("all.tar.gz", "w:gz")):
        with tarfile.open(root / name, mode) as file:
            file.add(root / "folder", "digits")
    np.save(root / "all.npy", whole.images[:, 0].numpy())
    np.savez_compressed(
        root / "all.npz",
        images=whole.images.permute(0, 2, 3, 1).numpy(),
        labels=whole.labels.numpy(),
    )
    rows = digits_rows(whole)
    rows.to_parquet(root / "all.parquet")
    rows.save_to_disk(root / "rows")
    listed = list(enumerate(whole.labels.tolist()))
    (root / "flat").mkdir()
    [
        (root / f"flat/{index:04d}.png").hardlink_to(root / f"folder/{label}/{index:04d}.png")
        for index, label in listed
    ]
    (root / "all.csv").write_text(
        "file_name,label\n" + "".join(f"{index:04d}.png,{label}\n" for index, label in listed)
    )
    (root / "all.jsonl").write_text(
        "".join(
            f'{{"file_name": "{index:04d}.png", "label": {label}}}\n' for index, label in listed
        )
    )
    for number in range(2):
        half = [
            (f"{index:04d}", (root / f"flat/{index:04d}.png").read_bytes(), label)
            for index, label in listed[number::2]
        ]
        files = {
            name: content
            for key, image, label in half
            for name, content in ((f"{key}.png", image), (f"{key}.cls", b"%d" % label))
        }
        tar(root / f"shard-{number:02d}.tar", files)
    return root


def tar(path, files):
    """A tar with these files."""
    with tarfile.open(path, "w") as file:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return str(path)


def digits_rows(whole):
    import datasets

    features = datasets.Features(
        image=datasets.Image(), label=datasets.ClassLabel(names=whole.classes)
    )
    images = [Image.fromarray(image[0].numpy()) for image in whole.images]
    return datasets.Dataset.from_dict(
        {"image": images, "label": whole.labels.tolist()}, features=features
    )


def sorted_pairs(images, labels):
    """Images with their labels, in an order of their own."""
    return sorted(
        (image.numpy().tobytes(), label) for image, label in zip(images, labels, strict=True)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_gives_the_same_pixels_and_classes(whole, exported, kind):
    found = load_image_set(KINDS[kind](exported), GREY)
    labels = whole.labels.tolist() if kind != "npy" else [None] * len(whole.images)
    assert found.classes == ([] if kind == "npy" else whole.classes)
    assert sorted_pairs(
        found.images, labels if found.labels is None else found.labels.tolist()
    ) == sorted_pairs(whole.images, labels)


RUNS = {
    "folder": ["data=folder", "data.path={}/folder"],
    "folder and CSV": ["data=folder", "data.path={}/flat", "data.labels={}/all.csv"],
    "folder and JSONL": ["data=folder", "data.path={}/flat", "data.labels={}/all.jsonl"],
    "zip": ["data=archive", "data.path={}/all.zip"],
    "tar": ["data=archive", "data.path={}/all.tar"],
    "tar.gz": ["data=archive", "data.path={}/all.tar.gz"],
    "shards": ["data=archive", "data.path='{}/shard-{{00..01}}.tar'"],
    "npz": ["data=arrays", "data.path={}/all.npz"],
    "parquet": ["data=hub", "data.name={}/all.parquet"],
    "stream": ["data=hub", "data.name={}/all.parquet", "data.streaming=true"],
    "arrow": ["data=hub", "data.name={}/rows/data-00000-of-00001.arrow"],
    "disk": ["data=hub", "data.name={}/rows"],
    "two halves": ["data=several", "data.paths=[{}/shard-00.tar,{}/shard-01.tar]"],
}
QUICK = ("folder", "shards", "npz", "parquet", "stream")


@pytest.mark.parametrize(
    "kind", [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.long) for kind in RUNS]
)
def test_a_run_trains_on_every_format(command, exported, kind):
    there = [option.format(exported, exported) for option in RUNS[kind]]
    alike = [
        "data.size=8",
        "data.channels=1",
        "data.holdout=0.1",
        "model.conditional=true",
        "trainer.steps=2",
        "hydra.run.dir=run",
    ]
    outcome = command("train", *TINY, *there, *alike)
    assert outcome.code == 0, outcome.err
    assert "8 x 8, 1 channel, 10 classes; 4 " in outcome.out
    assert (
        command(
            "sample", "ckpt=run/checkpoints/last.safetensors", "n=2", "label=all", "sampler.steps=2"
        ).code
        == 0
    )


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
    with pytest.raises(
        ValueError, match=r"cannot read 'a/bad.png' in '.*x.zip': it is no image of a known format"
    ):
        load_image_set(archive(path=str(tmp_path / "x.zip")), GREY)


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
        (
            archive,
            "x.zip",
            b"no archive",
            "path must be a zip or tar file, but .* cannot be read as one",
        ),
        (archive, "x.tar", b"", "path must be a zip or tar file, but .* cannot be read as one"),
        (
            arrays,
            "x.npy",
            b"no array",
            "path must be an .npy, .npz or IDX file, but .* cannot be read as one",
        ),
        (
            arrays,
            "x.npy",
            np.zeros((2, 4, 4), dtype=complex),
            r"path must hold images of numbers \[N, H, W\] .* holds complex128 \[2, 4, 4\]",
        ),
        (
            arrays,
            "x.npy",
            np.zeros((2, 4, 4, 6), dtype=np.uint8),
            r"C of 1 to 5, but .* holds uint8 \[2, 4, 4, 6\]",
        ),
        (
            arrays,
            "x.npy",
            np.array([{}]),
            "cannot be read as one: Array can't be memory-mapped: Python objects",
        ),
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
    np.savez(
        tmp_path / "x.npz",
        images=np.zeros((3, 4, 4), dtype=np.uint8),
        labels=np.zeros(2, dtype=np.int64),
    )
    with pytest.raises(
        ValueError,
        match=r"labels in .* must be whole numbers from 0 on, one for each of the 3 images",
    ):
        arrays(path=str(tmp_path / "x.npz"))


def test_an_archive_without_images_is_told(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr("notes.txt", "nothing")
    with pytest.raises(
        ValueError, match=r"path must hold images \(.jpg, .png, ...\), but .* holds none"
    ):
        archive(path=str(tmp_path / "x.zip"))


def test_a_bomb_in_an_archive_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("ddpm_cli.data_files.members.LARGEST", 1000)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("bomb.png", bytes(10_000))
    with pytest.raises(
        ValueError, match=r"'bomb.png' in it would take 10,000 bytes, more than 1,000"
    ):
        archive(path=str(tmp_path / "x.zip"))


def test_labels_of_an_array_are_classes_by_their_value_however_large(tmp_path):
    np.savez(
        tmp_path / "x.npz",
        images=np.zeros((3, 4, 4, 1), dtype=np.uint8),
        labels=np.array([2**62, 7, 7]),
    )
    found = load_image_set(arrays(path=str(tmp_path / "x.npz")), GREY)
    assert (found.classes, found.labels.tolist()) == (["7", str(2**62)], [1, 0, 0])


@pytest.mark.parametrize(
    ("kind", "cut"), [("zip", 600), ("tar.gz", 600), ("tar", 5000), ("tar", 5120)]
)
def test_a_damaged_archive_is_told_in_one_line(exported, tmp_path, kind, cut):
    content = bytearray((exported / f"all.{kind}").read_bytes())
    content[cut : cut + 400] = bytes(400)
    (tmp_path / f"x.{kind}").write_bytes(content)
    with pytest.raises(
        ValueError, match=r"cannot (be read as one|read (4 of 60 images: )?'.*' in)"
    ):
        load_image_set(archive(path=str(tmp_path / f"x.{kind}")), GREY)


def test_what_folders_leave_out_an_archive_leaves_out_too(tmp_path):
    names = [
        "a/1.png",
        "b/1.png",
        "__MACOSX/a/._1.png",
        "a/.hidden.png",
        "../out/1.png",
        "a/d.png/",
    ]
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
    assert load_image_set(archive(path=str(tmp_path / "x.tar")), GREY).images.unique().tolist() == [
        7
    ]
    assert archive(path=str(tmp_path / "x.tar")).count == 2


def test_a_tar_that_is_cut_off_is_told(tmp_path, exported):
    (tmp_path / "x.tar").write_bytes((exported / "all.tar").read_bytes()[: 512 * 9])
    with pytest.raises(ValueError, match="cannot be read as one"):
        archive(path=str(tmp_path / "x.tar"))


@pytest.mark.parametrize(
    ("channels", "mode"), [((), "L"), ((1,), "L"), ((2,), "LA"), ((3,), "RGB"), ((4,), "RGBA")]
)
def test_an_array_of_up_to_four_channels_gives_images_of_pillow(tmp_path, channels, mode):
    pixels = np.arange(2 * 3 * 5 * int(np.prod(channels))).reshape(2, 3, 5, *channels)
    image = arrays(path=written(tmp_path / "x.npy", pixels.astype(np.uint8))).open(1)
    assert image.mode == mode
    assert np.array_equal(np.asarray(image).ravel(), pixels[1].ravel())


@pytest.mark.parametrize("rules", [1, 2])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("kind", "scale"), [("<u2", 257), (">u2", 257)])
def test_an_array_of_sixteen_bits_gives_the_images_of_its_eight_highest(
    tmp_path, channels, kind, scale, rules
):
    pixels = np.arange(2 * 3 * 5 * channels).reshape(2, 3, 5, channels)
    source = arrays(path=written(tmp_path / "x.npy", (pixels * scale).astype(kind)), rules=rules)
    data = load_image_set(source, Preparation(size=[3, 5], channels=channels, flip=False))
    assert np.array_equal(data.all_images().permute(0, 2, 3, 1), pixels)


def test_an_array_of_five_channels_gives_arrays(tmp_path):
    pixels = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)
    found = arrays(path=written(tmp_path / "x.npy", pixels)).open(1)
    assert found.dtype == np.uint8
    assert np.array_equal(found, pixels[1])


@pytest.mark.parametrize("rules", [1, 2])
def test_sixteen_bits_are_rounded_to_the_nearest_of_eight(tmp_path, rules):
    pixels = np.array([[[0, 128, 129, 65406, 65407, 65535]]], dtype=np.uint16)
    source = arrays(path=written(tmp_path / "x.npy", pixels), rules=rules)
    data = load_image_set(source, Preparation(size=[1, 6], channels=1, flip=False))
    assert data.all_images().tolist() == [[[[0, 0, 1, 254, 255, 255]]]]


def test_labels_beside_images_of_an_archive_are_classes_in_the_order_of_numbers(tmp_path):
    files = {
        "10/b.png": png(),
        "10/b.cls": b"10",
        "9/a.png": png(),
        "9/a.cls": b" 9\n",
        "9/a.json": b"{}",
        "c.png": png(),
    }
    source = archive(path=tar(tmp_path / "x.tar", files))
    assert (source.classes, source.labels()) == (["9", "10"], [1, 0, None])


def test_labels_beside_images_may_be_words_and_lie_in_a_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        [
            file.writestr(name, content)
            for name, content in {
                "1.png": png(),
                "1.cls": "rose",
                "2.png": png(),
                "2.cls": "aster",
            }.items()
        ]
    source = archive(path=str(tmp_path / "x.zip"))
    assert (source.classes, source.labels()) == (["aster", "rose"], [1, 0])


@pytest.fixture
def shards(tmp_path):
    """Three shards with an image each, whose keys are the same and whose labels are not."""
    for number in range(3):
        tar(tmp_path / f"s-{number + 8:03d}.tar", {"0.png": png(), "0.cls": b"%d" % number})
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "labels"),
    [("s-*.tar", ["0", "1", "2"]), ("s-00?.tar", ["0", "1"]), ("s-{009..010}.tar", ["1", "2"])],
)
def test_a_pattern_names_shards(shards, pattern, labels):
    source = archive(path=f"{shards}/{pattern}")
    assert [source.classes[label] for label in source.labels()] == labels
    assert source.name(0).startswith(f"'0.png' in '{shards}/s-00")


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("s-{008..011}.tar", "there is none at '.*/s-011.tar'"),
        ("none*.tar", r"there is none at '.*/none\*.tar'"),
        ("s-{9..8}.tar", "numbers in braces must rise, but path is '.*/s-{9..8}.tar'"),
    ],
)
def test_shards_that_are_not_there_are_told(shards, pattern, told):
    with pytest.raises(ValueError, match=told):
        archive(path=f"{shards}/{pattern}")


def test_no_zip_stays_open_between_images(tmp_path, monkeypatch):
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    for number in range(80):
        with zipfile.ZipFile(tmp_path / f"{number:02}.zip", "w") as file:
            file.writestr("1.png", png())
    opened = len(os.listdir("/dev/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 30, limit[1]))
    try:
        data = load_image_set(archive(path=f"{tmp_path}/*.zip"), GREY)
        assert len(data.images) == 80
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_says_when_it_was_written_again(exported, kind):
    before = KINDS[kind](exported).version()
    assert KINDS[kind](exported).version() == before
    [path.touch() for path in exported.rglob("*.*")]
    assert KINDS[kind](exported).version() != before


def test_of_a_name_twice_in_an_archive_the_last_counts_and_a_file_of_two_patterns_counts_once(
    tmp_path,
):
    with (
        zipfile.ZipFile(tmp_path / "10.zip", "w") as file,
        pytest.warns(UserWarning, match="Duplicate name"),
    ):
        [file.writestr("a.png", content) for content in (b"no image", png())]
    assert load_image_set(
        archive(path=f"{tmp_path}/{{1..1}}?.zip"), GREY
    ).images.unique().tolist() == [7]
    assert archive(path=f"{tmp_path}/1{{0..0}}*.zip").count == 1
    assert (
        len(matching_files(f"{tmp_path}/{{10..10}}*.zip"))
        == len(matching_files(f"{tmp_path}/1*"))
        == 1
    )
