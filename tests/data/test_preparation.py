"""Preparation: every colour mode, size and fault of a file."""

import math
from io import BytesIO

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from ddpm_cli.data import Preparation, arrays
from ddpm_cli.data.sources.cells import CellFiles
from ddpm_cli.data.sources.source import rows_source
from ddpm_cli.image_sets import ImageSet, load_image_set
from ddpm_cli.images import prepare_image


def palette():
    image = Image.new("P", (6, 6), 1)
    image.putpalette([0, 0, 0, 255, 0, 0])
    return image


def transparent_palette():
    image = palette()
    image.info["transparency"] = 1
    return image


@pytest.mark.parametrize(
    ("image", "colour"),
    [
        (Image.new("1", (6, 6), 1), (255, 255, 255)),
        (Image.new("L", (6, 6), 100), (100, 100, 100)),
        (Image.new("LA", (6, 6), (100, 255)), (100, 100, 100)),
        (Image.new("LA", (6, 6), (0, 0)), (255, 255, 255)),
        (Image.new("RGBA", (6, 6), (10, 20, 30, 255)), (10, 20, 30)),
        (Image.new("RGBA", (6, 6), (10, 20, 30, 0)), (255, 255, 255)),
        (Image.new("CMYK", (6, 6), (0, 255, 255, 0)), (255, 0, 0)),
        (Image.new("I;16", (6, 6), 257 * 77), (77, 77, 77)),
        (Image.new("I", (6, 6), 257 * 77), (77, 77, 77)),
        (Image.fromarray(np.full((6, 6), 0.5, np.float32)), (127.5, 127.5, 127.5)),
        (Image.new("I;16", (6, 6), 200), (0.8, 0.8, 0.8)),
        (palette(), (255, 0, 0)),
        (transparent_palette(), (255, 255, 255)),
    ],
)
def test_every_mode_becomes_the_colour_people_see(image, colour):
    assert prepare_image(image, (3, 2, 2))[:, 0, 0].tolist() == pytest.approx(colour, abs=2)


def test_one_channel_is_grey():
    assert prepare_image(Image.new("RGB", (6, 6), (90, 90, 90)), (1, 2, 2)).tolist() == [
        [[90, 90], [90, 90]]
    ]


def test_the_centre_is_cropped_to_the_shape_that_is_asked_for():
    wide = np.zeros((4, 8), np.uint8)
    wide[:, 2:6] = 200
    assert (prepare_image(Image.fromarray(wide), (1, 4, 4)) == 200).all()
    assert prepare_image(Image.fromarray(wide), (1, 2, 4)).shape == (1, 2, 4)


def test_shrinking_averages_what_it_leaves_out():
    checks = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    assert (prepare_image(Image.fromarray(checks), (1, 4, 4)).float() - 127.5).abs().max() < 8


def test_photographs_are_turned_upright():
    image, file = Image.new("RGB", (4, 8), "black"), BytesIO()
    image.paste("white", (0, 0, 4, 4))
    exif = Image.Exif()
    exif[0x0112] = 3
    image.save(file, "png", exif=exif)
    upright = prepare_image(Image.open(file), (1, 8, 4))
    assert (upright[0, 0, 0], upright[0, 7, 0]) == (0, 255)


def source(*files):
    features = datasets.Features(image=datasets.Image(decode=False))
    rows = datasets.Dataset.from_dict(
        {"image": [{"bytes": file, "path": None} for file in files]}, features=features
    )
    return rows_source(rows, "image", None, CellFiles())


def encoded(kind="png"):
    file = BytesIO()
    Image.effect_noise((32, 32), 50).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("damaged", [encoded("jpeg")[:-200], encoded("png")[:-60], b"text", b""])
def test_an_image_that_cannot_be_read_is_named(damaged):
    with pytest.raises(ValueError, match="cannot read image 1: "):
        load_image_set(source(encoded(), damaged), Preparation(size=8, channels=1, flip=False))


def test_a_set_that_does_not_fit_into_memory_is_refused(monkeypatch):
    monkeypatch.setattr("os.sysconf", lambda name: {"SC_PAGE_SIZE": 1, "SC_PHYS_PAGES": 100}[name])
    with pytest.raises(ValueError, match=r"choose data\.cache=disk or a smaller data\.size"):
        load_image_set(source(encoded(), encoded()), Preparation(size=8, channels=1, flip=False))


def test_a_fingerprint_is_of_the_images_and_labels():
    images, labels = torch.arange(8, dtype=torch.uint8).view(2, 1, 2, 2), torch.tensor([0, 1])
    same = ImageSet(images.clone(), labels.clone(), ["other", "names"]).fingerprint
    assert same == ImageSet(images, labels, []).fingerprint
    assert (
        len(
            {
                same,
                ImageSet(images.flip(0), labels, []).fingerprint,
                ImageSet(images, None, []).fingerprint,
            }
        )
        == 3
    )


@pytest.mark.parametrize("size", [[8], [8, 8, 8], 0, [8, -1]])
def test_sizes_that_mean_nothing_are_refused(size):
    with pytest.raises(ValueError, match=r"data\.size must be one positive number or"):
        Preparation(size=size, channels=1, flip=False)


def test_an_image_is_held_out_by_its_content_wherever_it_lies():
    images = torch.randint(
        0, 256, (400, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    data = ImageSet(images, torch.arange(400), ["a"])
    training, held_out = data.split(0.25)
    assert 70 < len(held_out.images) < 130
    assert torch.cat([training.labels, held_out.labels]).sort().values.tolist() == list(range(400))
    assert torch.equal(held_out.all_images(), images[held_out.places])
    again = ImageSet(images.flip(0), torch.arange(400).flip(0), ["a"]).split(0.25)[1]
    assert again.labels.flip(0).tolist() == held_out.labels.tolist()


def test_a_larger_share_holds_the_same_images_out_and_more():
    images = torch.arange(200, dtype=torch.uint8).view(200, 1, 1, 1)
    data = ImageSet(images, None, [])
    few, many = ({*data.split(share)[1].places.tolist()} for share in (0.1, 0.3))
    assert few < many
    assert not len(data.split(0.0)[1].images)


def photograph(width, height, mode="RGB", noise=5):
    """Smooth random colours with a little noise."""
    rng = np.random.default_rng(0)

    def band():
        smooth = Image.fromarray(rng.integers(0, 256, (4, 5), np.uint8)).resize(
            (width, height), Image.Resampling.BICUBIC
        )
        return Image.fromarray(
            (np.asarray(smooth) + rng.normal(0, noise, (height, width)))
            .clip(0, 255)
            .astype(np.uint8)
        )

    return Image.merge(mode, [band() for _ in Image.new(mode, (1, 1)).getbands()])


def published(image, side):
    """The crop of Dhariwal & Nichol (2021).

    It halves by boxes while the shorter side is twice as long, then resizes, then takes the centre.
    """
    shorter = min(image.size)
    if shorter >= 2 * side:
        return published(
            image.resize((image.width // 2, image.height // 2), Image.Resampling.BOX), side
        )
    scale = side / shorter
    width, height = (round(length * scale) for length in image.size)
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
    top, left = (height - side) // 2, (width - side) // 2
    return torch.from_numpy(pixels[top : top + side, left : left + side].copy()).permute(2, 0, 1)


@pytest.mark.parametrize(
    "size",
    [
        (16, 16),
        (32, 32),
        (33, 32),
        (31, 40),
        (100, 67),
        (67, 101),
        (129, 257),
        (10, 12),
        (9, 40),
        (500, 333),
        (1000, 9),
        (9, 1000),
        (2700, 9),
        (1, 300),
        (300, 1),
        (5000, 33),
        (17, 4000),
    ],
)
def test_the_crop_of_adm_is_as_published(size):
    image = photograph(*size)
    assert torch.equal(prepare_image(image, (3, 16, 16), "adm"), published(image, 16))


@pytest.mark.parametrize("size", [(1, 100_000), (100_000, 1)])
def test_the_crop_of_adm_cuts_an_image_first_that_would_not_fit_into_memory(size, monkeypatch):
    areas, resize = [], Image.Image.resize
    monkeypatch.setattr(
        "PIL.Image.Image.resize",
        lambda image, size, *rest: areas.append(math.prod(size)) or resize(image, size, *rest),
    )
    noise = np.random.default_rng(0).integers(0, 256, size, np.uint8)
    assert prepare_image(Image.fromarray(noise), (1, 64, 64), "adm").shape == (1, 64, 64)
    assert max(areas) < 64 * 64 * 10


def test_the_crop_of_adm_decodes_all_of_a_jpeg():
    file = BytesIO()
    photograph(200, 150).save(file, "jpeg", quality=90)
    assert torch.equal(
        prepare_image(Image.open(file), (3, 16, 16), "adm"), published(Image.open(file), 16)
    )


@pytest.mark.parametrize("crop", ["center", "adm"])
@pytest.mark.parametrize("shape", [(3, 16, 24), (3, 24, 16), (1, 40, 9), (4, 9, 40)])
@pytest.mark.parametrize("size", [(50, 30), (30, 50), (8, 8), (200, 40)])
def test_any_image_fits_any_shape(size, shape, crop):
    assert prepare_image(photograph(*size), shape, crop).shape == shape


@pytest.mark.parametrize("crop", ["center", "adm"])
def test_the_centre_of_another_shape_is_that_of_the_part_that_fits(crop):
    image = photograph(48, 32)
    cut = image.crop((0, 4, 48, 28))
    assert torch.equal(
        prepare_image(image, (3, 24, 48), crop),
        torch.from_numpy(np.asarray(cut).transpose(2, 0, 1).copy()),
    )


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4)])
def test_every_number_of_channels_is_kept_as_it_is(mode, channels):
    image = photograph(8, 6, mode)
    expected = np.asarray(image).reshape(6, 8, channels).transpose(2, 0, 1)
    assert torch.equal(prepare_image(image, (channels, 6, 8)), torch.from_numpy(expected.copy()))


@pytest.mark.parametrize(("channels", "opaque"), [(2, [90, 255]), (4, [90, 90, 90, 255])])
def test_images_without_transparency_are_opaque(channels, opaque):
    assert prepare_image(Image.new("L", (4, 4), 90), (channels, 2, 2))[:, 0, 0].tolist() == opaque


def test_five_channels_come_from_arrays_alone(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (3, 8, 6, 5), dtype=np.uint8)
    np.save(tmp_path / "five.npy", array)
    five = Preparation(size=[8, 6], channels=5, flip=False)
    assert torch.equal(
        load_image_set(arrays(path=str(tmp_path / "five.npy")), five).all_images(),
        torch.from_numpy(array).permute(0, 3, 1, 2),
    )
    with pytest.raises(ValueError, match=r"image 0: it has 3 channels, and data\.channels is 5"):
        load_image_set(source(encoded_in_colour()), five)


def encoded_in_colour():
    file = BytesIO()
    photograph(8, 6).save(file, "png")
    return file.getvalue()


def jpeg(image):
    file = BytesIO()
    image.save(file, "jpeg", quality=90)
    return file


def difference(file, side, rules=2):
    """By how many levels an image that is decoded at a reduced size differs from the whole."""
    whole = Image.open(file)
    whole.load()
    reduced = prepare_image(Image.open(file), (3, side, side), rules=rules)
    return (reduced.float() - prepare_image(whole, (3, side, side)).float()).abs()


@pytest.mark.parametrize(
    "size", [(500, 650), (650, 500), (320, 300), (1000, 300), (257, 256), (1026, 514), (1024, 1536)]
)
def test_a_jpeg_decoded_at_a_reduced_size_is_within_two_grey_levels_of_the_whole(size):
    levels = difference(jpeg(photograph(*size)), 64)
    assert levels.mean() < 0.5
    assert levels.max() <= 2


@pytest.mark.parametrize(("side", "decoded"), [(85, 256), (86, 512), (42, 128), (21, 64), (9, 64)])
def test_a_jpeg_is_shrunk_while_it_is_decoded_if_three_times_the_wanted_side_remains(side, decoded):
    image = Image.open(jpeg(photograph(512, 512)))
    prepare_image(image, (3, side, side))
    assert image.size == (decoded, decoded)


def test_by_the_rules_of_before_a_jpeg_is_shrunk_while_the_wanted_side_remains():
    file = jpeg(photograph(512, 512, noise=30))
    image = Image.open(file)
    prepare_image(image, (3, 64, 64), rules=1)
    assert image.size == (64, 64)
    assert difference(file, 64, rules=1).max() > difference(file, 64).max()
