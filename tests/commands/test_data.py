"""ddpm-data: what it says of a set, what it writes, and how it ends."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY
from PIL import Image

from ddpm_cli import preflight
from ddpm_cli.data import Preparation, folder
from ddpm_cli.image_sets import ImageSet, load_image_set

PHOTOS = ["data=folder", "data.path=photos", "data.size=16", "hydra.run.dir=out"]
SKIP = "data.on_error=skip"


def noise(seed, height=20, width=24):
    return Image.fromarray(
        np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    )


@pytest.fixture
def photos(tmp_path):
    """Six photographs of two classes: two are the same, one is of one colour, none is damaged."""
    for name in ("cats/1", "cats/2", "cats/3", "cats/4", "dogs/日本 $x^", "dogs/plain"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        noise(sum(name.encode())).save(tmp_path / f"photos/{name}.png")
    noise(sum(b"cats/1")).save(tmp_path / "photos/cats/2.png")
    Image.new("RGB", (8, 9), (200, 0, 0)).save(tmp_path / "photos/dogs/plain.png")
    return tmp_path / "photos"


@pytest.fixture
def damaged(photos):
    """The photographs and 25 files that are none."""
    [(photos / f"dogs/{index:02}.jpg").write_bytes(b"text") for index in range(25)]
    return photos


def lines(outcome, title):
    """What stands beside a title, and below it."""
    every = outcome.out.splitlines()
    start = next(place for place, line in enumerate(every) if line.startswith(title.ljust(11)))
    rest = [line.startswith(" ") for line in every[start + 1 :]]
    return [line[11:] for line in every[start : start + 1 + rest.index(False)]]


def written(name="data.json"):
    return json.loads(Path("out", name).read_text())


def test_the_digits_are_reported_without_an_option(command):
    outcome = command("data", "hydra.run.dir=out")
    assert outcome.code == 0, outcome.err
    assert lines(outcome, "images") == ["1,797 of 1,797 can be read"]
    assert lines(outcome, "sizes") == ["8 x 8 to 8 x 8, median 8 x 8 (width x height)"]
    assert lines(outcome, "classes") == ["10, of 174 images (8) to 183 (3); 0 images have none"]
    assert [line for line in outcome.out.splitlines() if line.startswith("written")] == [
        f"written    {Path.cwd()}/out/{name}" for name in ("data.json", "data.png", "histogram.png")
    ]


def test_a_report_names_copies_and_images_of_one_colour(command, photos):
    outcome = command("data", *PHOTOS)
    assert outcome.code == 0, outcome.err
    assert lines(outcome, "sizes") == ["8 x 9 to 24 x 20, median 24 x 20 (width x height)"]
    assert lines(outcome, "enlarged") == ["1 of 6 images are smaller than 16 x 16"]
    assert lines(outcome, "modes") == ["RGB 6"]
    assert lines(outcome, "one colour") == ["1 of 6 images", f"{photos}/dogs/plain.png"]
    assert lines(outcome, "copies") == [
        "1 of 6 images are exact copies of others",
        f"{photos}/cats/1.png = {photos}/cats/2.png",
    ]


def test_all_that_is_said_is_in_the_file_for_machines(command, photos):
    command("data", *PHOTOS)
    found = written()
    assert (found["images"], found["readable"], found["unreadable"]) == (6, 6, [])
    assert (found["modes"], found["classes"], found["sizes"]) == (
        {"RGB": 6},
        {"cats": 4, "dogs": 2},
        [[8, 9], [24, 20], [24, 20]],
    )
    assert (found["exact"], found["near"]) == (
        [[f"{photos}/cats/1.png", f"{photos}/cats/2.png"]],
        [],
    )
    assert (found["plain"], found["enlarged"]) == ([f"{photos}/dogs/plain.png"], 1)
    assert (found["bytes"], Path(found["folder"]).is_dir()) == (6 * 3 * 16 * 16, True)


def test_pictures_show_the_images_their_histograms_and_copies(command, photos):
    command("data", *PHOTOS)
    sizes = {path.name: Image.open(path).size for path in Path("out").glob("*.png")}
    assert sizes["data.png"] == (3 * 50 + 2, 2 * 50 + 2)
    assert sizes["histogram.png"] == (1320, 960)
    assert sizes["copies.png"][1] == 52 + 2 * 18  # with two names


def test_files_that_cannot_be_read_are_listed_before_a_run_would_stop(command, damaged):
    outcome = command("data", *PHOTOS)
    told = lines(outcome, "unreadable")
    assert outcome.code == 1
    assert (
        outcome.err == "error: ddpm-train would stop here: 25 of 31 images cannot be read "
        "(data.on_error=skip goes without)\n"
    )
    assert told[0] == f"{damaged}/dogs/00.jpg: it is no image of a known format"
    assert (len(told), told[-1]) == (21, "and 5 more, in data.json")
    assert len(written()["unreadable"]) == 25
    assert Path("out/data.png").is_file()


def test_files_that_are_skipped_are_no_failure(command, damaged):
    outcome = command("data", *PHOTOS, SKIP)
    assert (outcome.code, outcome.err) == (0, "")
    assert lines(outcome, "images") == ["6 of 31 can be read"]


@pytest.mark.parametrize("on_error", ["stop", "skip"])
@pytest.mark.parametrize("cache", ["disk", "ram", "off"])
def test_a_set_without_one_readable_image_is_reported_without_a_picture(command, cache, on_error):
    Path("photos").mkdir()
    Path("photos/a.png").write_bytes(b"")
    outcome = command("data", *PHOTOS, f"data.cache={cache}", f"data.on_error={on_error}")
    assert outcome.code == 1
    assert lines(outcome, "images") == ["0 of 1 can be read"]
    assert outcome.err.startswith("error: ddpm-train would stop here: 1 of 1 images cannot be read")
    assert sorted(path.name for path in Path("out").iterdir()) == ["data.json", "data.yaml"]


@pytest.mark.parametrize(
    ("cache", "told"),
    [
        ("./kept", "4.5 KiB in kept/"),
        ("ram", "4.5 KiB of memory, decoded in "),
        ("off", "nothing is kept (4.5 KiB of memory a process with data.cache=ram), decoded in "),
    ],
)
def test_what_the_prepared_images_take_is_told(command, photos, cache, told):
    (line,) = lines(command("data", *PHOTOS, f"data.cache={cache}"), "room")
    assert line.startswith(told)


@pytest.mark.parametrize(
    "options", [["data.crop=random"], ["data.channels=4"], ["data.channels=2", "data.cache=off"]]
)
def test_a_report_is_of_the_images_as_the_network_sees_them(command, photos, options):
    outcome = command("data", *PHOTOS, *options)
    assert outcome.code == 0, outcome.err
    assert lines(outcome, "enlarged") == ["1 of 6 images are smaller than 16 x 16"]
    assert Path("out/data.png").is_file()


def test_no_name_breaks_a_line_or_a_picture(command, photos):
    (photos / "cats/1.png").rename(photos / "cats/a\n\x1b[31m.png")
    outcome = command("data", *PHOTOS)
    assert outcome.code == 0, outcome.err
    assert outcome.out.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["data.sise=8"], "data.sise is not an option; did you mean data.size=8?"),
        (["+seed=0"], "seed is not an option; there are data, trust"),
        (
            ["data=folder", "data.path=nowhere"],
            "data.path must be a folder, but there is none at 'nowhere'",
        ),
        (["data.size=0"], "data.size must be one positive number or [height, width], but is 0"),
    ],
)
def test_mistakes_are_told_in_one_line_and_leave_nothing(command, options, told):
    outcome = command("data", *options)
    assert (outcome.code, outcome.out, outcome.err) == (1, "", f"error: {told}\n")
    assert not list(Path().iterdir())


def parts(place, holdout):
    data = load_image_set(
        folder(path=str(place)), Preparation(size=16, channels=3, flip=False, holdout=holdout)
    )
    return data.split(holdout)


@pytest.mark.parametrize("holdout", [0.0, 0.5])
def test_a_run_is_told_of_copies_and_plain_images_wherever_they_are_parted(photos, holdout):
    assert [found.text for found in preflight.check_image_sets(parts(photos, holdout))] == [
        "1 of 6 images are exact copies of others (ddpm-data says more)",
        "1 of 6 images are of one colour (ddpm-data says more)",
        "1 of 6 images are smaller than 16 x 16 and are enlarged (ddpm-data says more)",
    ]


def test_a_run_is_told_of_classes_of_one_image(photos):
    (photos / "dogs/plain.png").unlink()
    told = [found.text for found in preflight.check_image_sets(parts(photos, 0.0))]
    assert "1 of 2 classes have fewer than 2 images (ddpm-data says more)" in told


def test_images_of_which_nothing_is_known_are_not_spoken_of():
    unknown = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    assert not list(preflight.check_image_sets([ImageSet(unknown, None, [])]))


def test_training_warns_of_what_the_report_names(command, photos):
    outcome = command(
        "train", *TINY, *PHOTOS, "trainer.batch_size=4", "trainer.steps=1", "data.holdout=0"
    )
    assert outcome.code == 0, outcome.err
    assert "warning: 1 of 6 images are exact copies of others (ddpm-data says more)" in outcome.out
