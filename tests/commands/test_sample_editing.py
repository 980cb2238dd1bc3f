"""Images that the user steers: by labels, by images, by two seeds."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

FAST = ["sampler.steps=4", "png=true"]


def image(folder, index=0):
    return np.asarray(Image.open(f"{folder}/png/{index:08d}.png")).astype(int)


@pytest.fixture
def picture(tmp_path):
    """A grey picture of the model's size, and a mask whose right half is white."""
    array = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    Image.fromarray(array).save(tmp_path / "picture.png")
    Image.fromarray(np.repeat([[0] * 4 + [255] * 4], 8, axis=0).astype(np.uint8)).save(
        tmp_path / "mask.png"
    )
    return array


@pytest.fixture
def sampled(command, trained):
    """Runs ddpm-sample of the tiny checkpoint into a folder."""

    def run(folder, *options):
        outcome = command("sample", f"ckpt={trained}", *FAST, *options, f"hydra.run.dir={folder}")
        assert outcome.code == 0, outcome.err
        return outcome

    return run


@pytest.mark.parametrize("sampler", ["ddim", "ancestral", "heun", "unipc", "dpmpp_2m"])
def test_inpainting_keeps_the_pixels_that_are_known(sampled, picture, sampler):
    sampled(
        "out", f"sampler={sampler}", "inpaint=picture.png", "mask=mask.png", "resample=2", "n=2"
    )
    assert np.array_equal(image("out")[:, :4], picture[:, :4])
    assert np.array_equal(image("out", 1)[:, :4], picture[:, :4])
    assert np.abs(image("out")[:, 4:] - picture[:, 4:]).max() > 1


def test_inpainting_says_what_it_costs(sampled, picture):
    assert (
        "4 steps, 31 network evaluations an image"
        in sampled("out", "inpaint=picture.png", "mask=mask.png", "n=1").out
    )


def test_an_image_taken_up_with_no_strength_is_returned_and_with_all_of_it_forgotten(
    sampled, picture
):
    for strength in ("0", "1", "0.5"):
        sampled(f"s{strength}", "start=picture.png", f"strength={strength}", "n=1")
    sampled("plain", "n=1")
    assert np.array_equal(image("s0"), picture)
    assert np.array_equal(image("s1"), image("plain"))
    assert not np.array_equal(image("s0.5"), image("plain"))


@pytest.mark.parametrize("sampler", ["ddim", "ancestral"])
def test_interpolation_hits_both_ends(sampled, sampler):
    sampled("way", f"sampler={sampler}", "interpolate=[3,5]", "n=5")
    sampled("three", f"sampler={sampler}", "seed=3", "n=1")
    sampled("five", f"sampler={sampler}", "seed=5", "n=1")
    assert np.abs(image("way", 0) - image("three")).max() <= 1
    assert np.abs(image("way", 4) - image("five")).max() <= 1
    assert np.abs(image("way", 2) - image("three")).max() > 1


def test_images_lie_between_two_images(sampled, picture):
    sampled("way", "interpolate=[picture.png,7]", "n=3")
    assert image("way", 1).shape == (8, 8)


def test_all_labels_make_a_grid_of_a_row_each(command, conditional):
    outcome = command(
        "sample",
        f"ckpt={conditional}",
        "label=all",
        "guidance=2",
        "n=20",
        *FAST,
        "hydra.run.dir=out",
    )
    assert outcome.code == 0, outcome.err
    assert "4 steps, 8 network evaluations an image" in outcome.out
    assert Path("out/index.csv").read_text().splitlines()[1:3] == [
        "0,0,png/00000000.png,,",
        "1,1,png/00000001.png,,",
    ]
    assert Image.open("out/grid.png").size[1] >= 10 * 50


def test_an_image_depends_on_its_label_alone(command, conditional):
    for name, options in {"all": ["label=all"], "three": ["label=3"], "none": []}.items():
        assert (
            command(
                "sample", f"ckpt={conditional}", *FAST, *options, "n=4", f"hydra.run.dir={name}"
            ).code
            == 0
        )
    assert np.abs(image("all", 3) - image("three", 3)).max() <= 1
    assert np.abs(image("all", 3) - image("none", 3)).max() > 1


def test_a_guide_and_an_interval_change_the_image(command, conditional, trained):
    for name, options in {
        "plain": [],
        "guide": ["guidance=3", f"guide={trained}"],
        "interval": ["guidance=3", "guidance_interval=[0.1,2]"],
    }.items():
        outcome = command(
            "sample",
            f"ckpt={conditional}",
            *FAST,
            "label=3",
            *options,
            "n=1",
            f"hydra.run.dir={name}",
        )
        assert outcome.code == 0, outcome.err
    assert not np.array_equal(image("guide"), image("plain"))
    assert not np.array_equal(image("interval"), image("plain"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            ["label=3"],
            "label=3 needs a class-conditional checkpoint (trained with "
            "model.conditional=true); this one is unconditional",
        ),
        (["guidance=2"], "guidance=2 needs label=CLASS or guide=CKPT"),
        (
            ["inpaint=picture.png"],
            "inpaint=IMAGE and mask=MASK go together: white is painted, black is kept",
        ),
        (
            ["start=nothing.png"],
            "cannot read the image 'nothing.png': [Errno 2] No such file or directory: "
            "'nothing.png'",
        ),
        (
            ["start=picture.png", "interpolate=[1,2]"],
            "only one of start, inpaint and interpolate can be given, but there are start and "
            "interpolate",
        ),
        (["start=picture.png", "strength=2"], "strength must be between 0 and 1, but is 2"),
        (
            ["interpolate=[-1,2]"],
            "interpolate must be two seeds, at least 0, or images, but is [-1, 2]",
        ),
        (["interpolate=[1,2]", "n=1"], "interpolate needs n of at least 2, but it is 1"),
        (
            ["interpolate=[picture.png,2]", "sampler=ancestral"],
            "interpolate between images needs a sampler without noise: ddim, dpmpp_2m, unipc or "
            "heun as they are",
        ),
        (["guide=nothing.pt", "guidance=2"], "there is no checkpoint at 'nothing.pt'"),
        (
            ["label=3", "guidance_interval=[2,1]", "guidance=2"],
            "guidance_interval must be [low, high] with 0 <= low < high, but is [2, 1]",
        ),
        (["threshold=dynamic", "quantile=0"], "quantile must be above 0 and at most 1, but is 0"),
        (
            ["sampler=heun", "sampler.churn=1"],
            "sampler.churn must be between 0 and sqrt(2) - 1, and churn_noise at least 0, but "
            "they are 1 and 1.0",
        ),
    ],
)
def test_bad_steering_is_told_in_one_line_and_nothing_is_written(
    command, trained, picture, options, told
):
    outcome = command("sample", f"ckpt={trained}", *FAST, "n=2", *options, "hydra.run.dir=out")
    assert (outcome.code, outcome.err) == (1, f"error: {told}\n")
    assert not Path("out").exists()


def test_an_unknown_label_is_told_with_those_that_are_known(command, conditional):
    outcome = command("sample", f"ckpt={conditional}", "label=rose", "hydra.run.dir=out")
    known = "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert (
        outcome.err
        == f"error: label must be all, or one of the 10 classes ({known}) or its number, but is "
        "'rose'\n"
    )


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_draws_about_the_same(sampled, precision):
    sampled("half", f"precision={precision}", "n=1")
    sampled("whole", "n=1")
    assert np.abs(image("half") - image("whole")).mean() < 8
