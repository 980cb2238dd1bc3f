"""Values of more than 8 bits: one range from black to white for the whole set, and it is told."""

import logging
import tracemalloc
import zipfile
from io import BytesIO

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from ddpm_cli.data import Preparation, archive, arrays, folder, hub, several
from ddpm_cli.image_sets import decode_source, load_image_set
from ddpm_cli.loading import StreamShare, streamed_batches

SIDE = 8


def preparation(**options):
    return Preparation(**{"size": SIDE, "channels": 1, "flip": False, **options})


def ramp(low, high, kind):
    """An image whose values run from `low` to `high`."""
    return np.linspace(low, high, SIDE * SIDE).reshape(SIDE, SIDE).astype(kind)


def in_files(place, images, kind="tif"):
    (place / "set").mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(place / f"set/{number}.{kind}")
    return folder(path=str(place / "set"))


def in_zip(place, images):
    with zipfile.ZipFile(place / "set.zip", "w") as file:
        for number, image in enumerate(images):
            content = BytesIO()
            Image.fromarray(image).save(content, "tiff")
            file.writestr(f"{number}.tif", content.getvalue())
    return archive(path=str(place / "set.zip"))


def in_table(place, images, **options):
    contents = [BytesIO() for _ in images]
    for image, content in zip(images, contents, strict=True):
        Image.fromarray(image).save(content, "tiff")
    cells = [{"bytes": content.getvalue(), "path": None} for content in contents]
    features = datasets.Features(image=datasets.Image())
    rows = datasets.Dataset.from_dict({"image": cells}, features=features)
    rows.to_parquet(place / "set.parquet")
    return hub(name=str(place / "set.parquet"), **options)


def in_array(place, images, **options):
    np.save(place / "set.npy", np.stack(images))
    return arrays(path=str(place / "set.npy"), **options)


SOURCES = [in_files, in_zip, in_table, in_array]


def extremes(source, **options):
    """The darkest and the brightest byte of each image."""
    images = load_image_set(source, preparation(**options)).all_images().flatten(1)
    return [*zip(images.amin(1).tolist(), images.amax(1).tolist(), strict=True)]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("cache", ["ram", "off", "disk"])
def test_floats_with_an_overshoot_have_the_scale_of_the_others(
    source, cache, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    images = [ramp(0, 1, np.float32), ramp(0, 1.0004, np.float32), ramp(0, 0.5, np.float32)]
    expected = [(0, 255), (0, 255), (0, 128)]
    assert extremes(source(tmp_path, images), cache=cache) == expected


@pytest.mark.parametrize("cache", ["ram", "off", "disk"])
@pytest.mark.parametrize(
    ("low", "high", "kind", "expected"),
    [
        (0, 1, np.float16, (0, 255)),
        (0, 1, np.float64, (0, 255)),
        (0, 1, bool, (0, 255)),
        (-1, 1, np.float32, (0, 255)),
        (-1, 0, np.float64, (0, 128)),
        (0, 255, np.float32, (0, 255)),
        (100, 250, np.float64, (100, 250)),
        (0, 255, np.int64, (0, 255)),
        (3, 200, np.int16, (3, 200)),
        (0, 100, np.int8, (0, 100)),
        (0, 65535, np.int32, (0, 255)),
        (257, 257 * 9, np.uint32, (1, 9)),
        (257, 257 * 9, ">u2", (1, 9)),
        (0, 4095, np.uint16, (0, 16)),
    ],
)
def test_an_array_of_any_numbers_is_scaled_by_the_range_that_holds_it(
    tmp_path, monkeypatch, cache, low, high, kind, expected
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = in_array(tmp_path, [ramp(low, high, kind), ramp(low, low, kind)])
    assert extremes(source, cache=cache)[0] == expected


@pytest.mark.parametrize(
    ("image", "name", "options", "expected"),
    [
        (ramp(0, 30_000, np.uint16), "signed.tif", {"tiffinfo": {339: 2}}, (0, 117)),
        (ramp(0, 65535, np.uint16), "grey.png", {}, (0, 255)),
        (ramp(0, 65535, np.uint16), "grey.jp2", {"irreversible": False}, (0, 255)),
        (ramp(0, 65535, np.int32), "grey.pgm", {}, (0, 255)),
        (ramp(0, 1, np.float32), "grey.pfm", {}, (0, 255)),
        (ramp(0, 200, np.int32), "integers.tif", {}, (0, 200)),
    ],
)
def test_a_file_of_more_than_8_bits_is_scaled_by_the_range_of_its_numbers(
    tmp_path, image, name, options, expected
):
    (tmp_path / "set").mkdir()
    Image.fromarray(image).save(tmp_path / "set" / name.replace("pfm", "pgm"), **options)
    assert extremes(folder(path=str(tmp_path / "set"))) == [expected]


def test_negative_numbers_of_a_signed_file_need_the_option(tmp_path):
    (tmp_path / "set").mkdir()
    bits = ramp(-300, 300, np.int16).view(np.uint16)
    Image.fromarray(bits).save(tmp_path / "set/signed.tif", tiffinfo={339: 2})
    source = folder(path=str(tmp_path / "set"))
    with pytest.raises(ValueError, match=r"^values run from -300 to 300: data\.range="):
        load_image_set(source, preparation())
    assert extremes(source, range=[-300, 300]) == [(0, 255)]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(("first", "white"), [(255, 1), (65535, 255)])
def test_one_image_of_larger_integers_decides_for_all(source, tmp_path, first, white):
    images = [ramp(0, 255, np.int32), ramp(0, first, np.int32)]
    assert extremes(source(tmp_path, images)) == [(0, 255 // white), (0, 255)]


@pytest.mark.parametrize(
    "image", [ramp(-1, 5, np.int32), ramp(0, 70_000, np.int32), ramp(-300, 300, np.int32)]
)
@pytest.mark.parametrize("source", SOURCES)
def test_integers_without_a_natural_range_need_the_option(source, tmp_path, image):
    values = f"values run from {image.min():g} to {max(image.max(), 9):g}"
    told = rf"^{values}: data\.range=\[low,high\] says what is black and white$"
    with pytest.raises(ValueError, match=told):
        load_image_set(source(tmp_path, [ramp(0, 9, np.int32), image]), preparation())


@pytest.mark.parametrize(
    ("low", "high"),
    [(-3.2, 812), (0, 1.02), (-2.1, 2.6), (-1.1, 1), (0, 258), (-3, 255), (0, 20), (-0.05, 1)],
)
def test_floats_without_a_natural_range_need_the_option(tmp_path, low, high):
    source = in_files(tmp_path, [ramp(0, 1, np.float32), ramp(low, high, np.float32)])
    told = rf"^values run from {min(low, 0):g} to {high:g}: data\.range=\[low,high\] says what is "
    with pytest.raises(ValueError, match=told + "black and white$"):
        load_image_set(source, preparation())


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("cache", ["ram", "off", "disk"])
@pytest.mark.parametrize(
    ("kind", "chosen"),
    [(np.float32, [-200, 100]), (np.int32, [-200, 100.0]), (np.float32, [-200.0, 100])],
)
def test_the_option_says_what_is_black_and_white(
    source, cache, kind, chosen, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    images = [ramp(-200, 100, kind), ramp(-500, 500, kind), ramp(-50, 40, kind)]
    expected = [(0, 255), (0, 255), (128, 204)]
    found = extremes(source(tmp_path, images), cache=cache, range=chosen)
    assert torch.tensor(found).sub(torch.tensor(expected)).abs().max() <= 1


def test_twelve_bits_in_sixteen_are_told_and_the_option_uses_them_whole(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    source = in_files(tmp_path, [ramp(0, 4095, np.uint16), ramp(9, 3000, np.uint16)], "png")
    assert extremes(source) == [(0, 16), (0, 12)]
    assert (
        "range      uint16 values of 2 images run from 0 to 4095; 0 is black, 65535 is white; "
        "values reach 4095 of 65535: data.range=[0,4095] uses them whole" in caplog.text
    )
    assert extremes(source, range=[0, 4095]) == [(0, 255), (1, 187)]


@pytest.mark.parametrize(("most", "told"), [(1023, 1023), (9000, 16383), (256, 511), (99, 255)])
def test_other_numbers_of_bits_in_sixteen_are_told_too(tmp_path, caplog, most, told):
    caplog.set_level(logging.INFO)
    load_image_set(in_array(tmp_path, [ramp(0, most, np.uint16)]), preparation())
    assert f"values reach {most} of 65535: data.range=[0,{told}] uses them whole" in caplog.text


@pytest.mark.parametrize(("image", "count"), [(ramp(0, 65535, np.uint16), 1), (None, 0)])
def test_sixteen_bits_need_no_remedy_and_eight_no_word(tmp_path, caplog, image, count):
    caplog.set_level(logging.INFO)
    image = ramp(0, 255, np.uint8) if image is None else image
    load_image_set(in_array(tmp_path, [image]), preparation())
    assert caplog.text.count("is black") == count
    assert "uses them whole" not in caplog.text


def test_images_that_are_clipped_are_counted(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    images = [ramp(0, white, np.float32) for white in (1, 1.001, 1.005)]
    load_image_set(in_array(tmp_path, images), preparation())
    assert (
        "float values of 3 images run from 0 to 1.005; 0 is black, 1 is white; 2 images have "
        "values beyond, which are clipped" in caplog.text
    )


def test_every_kind_of_number_in_a_mixture_has_a_range_of_its_own(tmp_path):
    images = [ramp(0, 255, np.uint8), ramp(0, 65535, np.uint16), ramp(-1, 1, np.float32)]
    places = [str(tmp_path / f"{number}.npy") for number in range(3)]
    for place, image in zip(places, images, strict=True):
        np.save(place, image[None])
    assert extremes(several(paths=places)) == [(0, 255)] * 3


def test_the_option_leaves_images_of_eight_bits_as_they_are(tmp_path):
    source = in_files(tmp_path, [ramp(0, 255, np.uint8), ramp(0, 4095, np.uint16)], "png")
    assert extremes(source, range=[0, 4095]) == [(0, 255)] * 2


@pytest.mark.parametrize("cache", ["ram", "off", "disk"])
def test_the_option_is_refused_where_all_images_have_eight_bits(tmp_path, monkeypatch, cache):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = in_files(tmp_path, [ramp(0, 255, np.uint8)], "png")
    told = (
        r"^data\.range=\[0, 4095\] is of images of more than 8 bits, but those of this set have "
        r"8: choose auto$"
    )
    with pytest.raises(ValueError, match=told):
        load_image_set(source, preparation(range=[0, 4095], cache=cache))


@pytest.mark.parametrize("chosen", [[], [1], [1, 1], [5, 2], [1, 2, 3], [-1e308, 1e308]])
def test_a_range_must_rise(chosen):
    with pytest.raises(ValueError, match=r"^data\.range must be auto or \[low, high\], but is \["):
        preparation(range=chosen)


def test_a_set_of_eight_bits_is_decoded_once_and_another_twice_at_most(tmp_path):
    for kind, whole, expected in ((np.uint8, 255, 1), (np.float32, 1, 1), (np.float32, 255, 2)):
        opened = []
        source = in_array(tmp_path, [ramp(0, whole, kind)] * 3)
        read = source.open
        object.__setattr__(
            source, "open", lambda index, read=read, o=opened: o.append(index) or read(index)
        )
        load_image_set(source, preparation())
        assert opened == [0, 1, 2] * expected


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("source", [in_files, in_array])
def test_an_image_with_numbers_that_are_not_finite_cannot_be_read(source, tmp_path, value):
    damaged = ramp(0, 1, np.float32)
    damaged[3, 3] = value
    found = decode_source(source(tmp_path, [ramp(0, 1, np.float32), damaged]), preparation())
    assert [why for _, why in found.unreadable] == ["it has numbers that are not finite"]
    assert len(found.records) == 1


def test_a_set_of_floats_is_not_loaded_whole(tmp_path):
    count, side = 400, 64
    pixels = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float64, (count, side, side))
    pixels[:] = np.linspace(0, 255, side * side).reshape(side, side)
    pixels.flush()
    source = arrays(path=str(tmp_path / "x.npy"))
    tracemalloc.start()
    load_image_set(source, preparation())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < pixels.nbytes / 3


@pytest.mark.parametrize("white", [1, 1.0004, 255, 812])
def test_by_the_rules_of_before_each_float_image_is_scaled_by_its_brightest_pixel(tmp_path, white):
    images = [ramp(0, 1, np.float32), ramp(0, white, np.float32)]
    source = in_table(tmp_path, images, rules=1)
    limit = next(limit for limit in (1, 255, 65535) if white <= limit)
    assert extremes(source) == [(0, 255), (0, round(white / limit * 255))]


def test_by_the_rules_of_before_integers_of_32_bits_have_the_white_of_16(tmp_path):
    source = in_table(tmp_path, [ramp(-5, 255, np.int32), ramp(0, 99_999, np.int32)], rules=1)
    assert extremes(source) == [(0, 1), (0, 255)]


def test_the_rules_of_before_know_no_range(tmp_path):
    source = in_table(tmp_path, [ramp(0, 1, np.float32)], rules=1)
    with pytest.raises(ValueError, match=r"^data\.range=\[0, 1\] needs data\.rules=2, but it is 1"):
        load_image_set(source, preparation(range=[0, 1]))
    with pytest.raises(ValueError, match=r"images of uint8 or uint16 .* holds float32 \[1, 8, 8\]"):
        in_array(tmp_path, [ramp(0, 1, np.float32)], rules=1)


def streamed(source, **options):
    """The darkest and the brightest byte of the first two images of a stream."""
    share = StreamShare(source.rows, preparation(**options), 0)
    images = next(streamed_batches(share, slice(0, 2))).images.flatten(1)
    return sorted(zip(images.amin(1).tolist(), images.amax(1).tolist(), strict=True))


@pytest.mark.parametrize(
    ("images", "chosen", "expected"),
    [
        ([ramp(0, 255, np.uint8), ramp(9, 90, np.uint8)], "auto", [(0, 255), (9, 90)]),
        ([ramp(0, 65535, np.uint16), ramp(0, 257, np.uint16)], "auto", [(0, 1), (0, 255)]),
        ([ramp(0, 4095, np.uint16), ramp(0, 9, np.uint16)], [0, 4095], [(0, 1), (0, 255)]),
        ([ramp(0, 1.2, np.float32), ramp(0, 0.5, np.float32)], [0, 1], [(0, 128), (0, 255)]),
        ([ramp(-9, 9, np.int32), ramp(-9, 0, np.int32)], [-9, 9], [(0, 128), (0, 255)]),
    ],
)
def test_a_stream_has_the_range_that_is_given_or_that_of_its_type(
    tmp_path, images, chosen, expected
):
    source = in_table(tmp_path, images, streaming=True)
    load_image_set(source, preparation(range=chosen))
    assert streamed(source, range=chosen) == expected


@pytest.mark.parametrize(
    ("image", "kind"), [(ramp(0, 1, np.float32), "float"), (ramp(0, 255, np.int32), "integer")]
)
def test_a_stream_of_other_numbers_needs_the_option(tmp_path, image, kind):
    source = in_table(tmp_path, [image] * 2, streaming=True)
    told = rf"{kind} values run from 0 to {image.max():g}: data\.range=\[low,high\] says what is "
    with pytest.raises(ValueError, match=f"^{told}black and white: not all images of a stream"):
        load_image_set(source, preparation())
    with pytest.raises(ValueError, match=f"^cannot read image [01]: its {told}black and white"):
        streamed(source)


def test_a_stream_by_the_rules_of_before_scales_each_image_by_itself(tmp_path):
    images = [ramp(0, 1, np.float32), ramp(0, 51, np.float32)]
    assert streamed(in_table(tmp_path, images, streaming=True, rules=1)) == [(0, 51), (0, 255)]


def test_the_report_tells_ranges(command, tmp_path):
    (tmp_path / "set").mkdir()
    for name in "ab":
        Image.fromarray(ramp(0, 1.0004, np.float32)).save(tmp_path / f"set/{name}.tif")
    options = ["data=folder", "data.path=set", "data.size=8", "data.cache=off"]
    outcome = command("data", *options, "hydra.run.dir=out")
    assert outcome.code == 0, outcome.err
    assert "range      float values of 2 images run from 0 to 1.0004; 0 is black, 1 " in outcome.out
    assert '"black": 0' in (tmp_path / "out/data.json").read_text()
    refused = command("data", *options, "data.range=[2,1]", "hydra.run.dir=other")
    assert refused.err == "error: data.range must be auto or [low, high], but is [2, 1]\n"
