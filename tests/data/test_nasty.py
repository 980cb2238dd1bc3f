"""Files that break other readers become pixels as people see them, or are refused with a reason."""

import os
import struct
import zipfile
import zlib
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from ddpm_cli.data import Preparation, archive, folder
from ddpm_cli.image_sets import decode_source
from ddpm_cli.images import prepare_image

GREY = 90


def saved(image, kind="png", **options):
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(side=32):
    return Image.effect_noise((side, side), 50)


def palette():
    """A palette image, its left half red, its right half transparent."""
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    image.paste(0, (4, 0, 8, 8))
    return saved(image, transparency=0)


def turned():
    """A wide image, white at its left, that a camera says to turn by a half."""
    image = Image.new("L", (16, 8), 0)
    image.paste(255, (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = 3
    return saved(image, "jpeg", exif=exif, quality=95)


def bomb(side=20_000, colour=2):
    """A PNG of a few hundred bytes whose header claims a huge square, in colours or (0) grey."""

    def chunk(name, content):
        return (
            struct.pack(">I", len(content))
            + name
            + content
            + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", side, side, 8, colour, 0, 0, 0)
    pixels = zlib.compress(bytes(10_000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


READABLE = {
    "cmyk.jpg": (
        saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "jpeg"),
        "CMYK",
        (8, 8),
        (255, 0, 0),
        (255, 0, 0),
    ),
    "palette.png": (palette(), "P", (8, 8), (255, 0, 0), (255, 255, 255)),
    "sixteen.png": (
        saved(Image.fromarray(np.full((8, 8), 257 * GREY, np.uint16))),
        "I;16",
        (8, 8),
        (GREY,) * 3,
        (GREY,) * 3,
    ),
    "turned.jpg": (turned(), "L", (16, 8), (0, 0, 0), (255, 255, 255)),
    "tiny.png": (
        saved(Image.new("RGB", (1, 1), (10, 20, 30))),
        "RGB",
        (1, 1),
        (10, 20, 30),
        (10, 20, 30),
    ),
    "long.png": (
        saved(Image.new("L", (20_000, 20), GREY)),
        "L",
        (20_000, 20),
        (GREY,) * 3,
        (GREY,) * 3,
    ),
    "two words.png": (saved(Image.new("L", (8, 8), GREY)), "L", (8, 8), (GREY,) * 3, (GREY,) * 3),
    "日本 é.png": (saved(Image.new("L", (8, 8), GREY)), "L", (8, 8), (GREY,) * 3, (GREY,) * 3),
}
UNREADABLE = {
    "truncated.jpg": (saved(noise(), "jpeg")[:-200], "image file is truncated"),
    "truncated.png": (saved(noise())[:-60], "image file is truncated"),
    "text.jpg": (b"no image at all", "it is no image of a known format"),
    "empty.png": (b"", "it is no image of a known format"),
    "bomb.png": (bomb(), "Image size (400000000 pixels) exceeds limit of 178956970 pixels"),
    "large.png": (bomb(10_000, colour=0), "image file is truncated"),
    "postscript.png": (saved(noise(), "eps"), "it is no image of a known format"),
    "metafile.jpg": (
        b"\xd7\xcd\xc6\x9a" + bytes(2) + struct.pack("<4hH", 0, 0, 9, 9, 96) + bytes(30),
        "it is no image of a known format",
    ),
}


def in_folder(place, files):
    (place / "photos").mkdir()
    [(place / "photos" / name).write_bytes(content) for name, content in files.items()]
    return folder(path=str(place / "photos"))


def in_zip(place, files):
    with zipfile.ZipFile(place / "photos.zip", "w") as packed:
        [packed.writestr(name, content) for name, content in files.items()]
    return archive(path=str(place / "photos.zip"))


def read(source, channels=3, **options):
    return decode_source(source, Preparation(size=8, channels=channels, flip=False, **options))


@pytest.mark.parametrize("crop", ["center", "adm"])
@pytest.mark.parametrize("packed", [in_folder, in_zip])
@pytest.mark.parametrize("name", READABLE)
def test_an_unusual_image_becomes_what_people_see(tmp_path, name, packed, crop):
    content, mode, size, left, right = READABLE[name]
    found = read(packed(tmp_path, {name: content}), crop=crop)
    assert not found.unreadable
    assert found.records[["mode", "width", "height"]].tolist() == [(mode.encode(), *size)]
    assert found.images[0, :, 4, 1].tolist() == pytest.approx(left, abs=3)
    assert found.images[0, :, 4, 6].tolist() == pytest.approx(right, abs=3)


@pytest.mark.parametrize("packed", [in_folder, in_zip])
@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_image_is_named_with_its_reason(tmp_path, name, packed):
    content, why = UNREADABLE[name]
    found = read(packed(tmp_path, {name: content, "whole.png": saved(noise())}))
    (told,) = found.unreadable
    assert name in told[0]
    assert told[1].startswith(why)
    assert len(found.images) == 1


def test_a_dead_link_is_named_with_its_reason(tmp_path):
    (tmp_path / "dead.png").symlink_to("nowhere")
    (tmp_path / "whole.png").write_bytes(saved(noise()))
    assert read(folder(path=str(tmp_path))).unreadable == [
        (f"{tmp_path}/dead.png", "No such file or directory")
    ]


def test_a_pipe_and_a_device_are_named_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "pipe.png").symlink_to("pipe")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "whole.png").write_bytes(saved(noise()))
    unreadable = read(folder(path=str(tmp_path))).unreadable
    assert [name.rpartition("/")[2] for name, _ in unreadable] == ["pipe.png", "zero.png"]
    assert all("is not a regular file" in why for _, why in unreadable)


def test_a_bomb_is_refused_by_its_header_before_a_pixel_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "PIL.PngImagePlugin.PngImageFile.load", lambda image: pytest.fail("pixels are decoded")
    )
    source = in_folder(tmp_path, {"bomb.png": bomb(2**31 - 1)})
    assert "decompression bomb" in read(source).unreadable[0][1]


def test_transparency_is_kept_where_it_is_asked_for(tmp_path):
    pixels = read(in_folder(tmp_path, {"palette.png": palette()}), channels=4).images[0, :, 4]
    assert pixels[:, 1].tolist() == [255, 0, 0, 255]
    assert pixels[3, 6] == 0


@pytest.mark.parametrize("cache", ["ram", "off", "disk"])
def test_every_cache_leaves_the_same_images_and_names_the_same_others(tmp_path, cache):
    files = {name: each[0] for name, each in (READABLE | UNREADABLE).items()}
    found = read(in_folder(tmp_path, files), cache=cache)
    assert [name.rpartition("/")[2] for name, _ in found.unreadable] == sorted(UNREADABLE)
    names = [sorted(files)[place] for place in found.records["place"].tolist()]
    assert names == sorted(READABLE)
    assert found.images[torch.arange(len(names))].shape == (len(READABLE), 3, 8, 8)


def test_the_report_names_every_file_that_cannot_be_read(command, tmp_path):
    in_folder(tmp_path, {name: each[0] for name, each in (READABLE | UNREADABLE).items()})
    (tmp_path / "photos/dead.png").symlink_to("nowhere")
    outcome = command(
        "data",
        "data=folder",
        "data.path=photos",
        "data.size=8",
        "data.on_error=skip",
        "hydra.run.dir=out",
    )
    assert outcome.code == 0, outcome.err
    assert (
        f"images     {len(READABLE)} of {len(READABLE) + len(UNREADABLE) + 1} can be read"
        in outcome.out
    )
    assert all(
        f"{tmp_path}/photos/{name}: {why}" in outcome.out for name, (_, why) in UNREADABLE.items()
    )
    assert f"{tmp_path}/photos/dead.png: No such file or directory" in outcome.out


@pytest.mark.parametrize("colour", [(200, 0, 0), (7, 7, 7), (255, 255, 255)])
def test_an_image_of_one_colour_is_known_as_such(tmp_path, colour):
    source = in_folder(
        tmp_path, {"plain.png": saved(Image.new("RGB", (9, 9), colour)), "some.png": saved(noise())}
    )
    assert read(source).records["plain"].tolist() == [True, False]


def test_an_image_that_lies_on_its_side_has_the_size_that_people_see(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (8, 4)).save(tmp_path / "1.jpg", exif=exif)
    found = decode_source(
        folder(path=str(tmp_path)), Preparation(size=[8, 4], channels=1, flip=False)
    )
    assert found.records[["width", "height"]].tolist() == [(4, 8)]


def test_numbers_that_are_not_finite_are_no_image():
    with pytest.raises(ValueError, match="it has numbers that are not finite"):
        prepare_image(Image.fromarray(np.full((4, 4), np.nan, np.float32)), (1, 4, 4))


def test_a_kind_of_file_that_is_not_supported_is_an_image_that_cannot_be_read(
    tmp_path, monkeypatch
):
    Image.new("L", (4, 4)).save(tmp_path / "1.png")

    def refused(*_, **__):
        raise NotImplementedError("Unimplemented pixel format")

    monkeypatch.setattr("ddpm_cli.image_sets.decoding.prepare_image", refused)
    assert (
        decode_source(
            folder(path=str(tmp_path)), Preparation(size=4, channels=1, flip=False)
        ).unreadable[0][1]
        == "Unimplemented pixel format"
    )
