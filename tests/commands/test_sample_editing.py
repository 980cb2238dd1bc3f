"""Images that the user steers: by labels, by images, by two seeds."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ddpm_cli.generation import editing
from ddpm_cli.generation.store import ImageStore
from ddpm_cli.rendering.captions import LINE

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


@pytest.mark.parametrize(
    ("options", "inputs"),
    [
        ([], 0),
        (["inpaint=picture.png", "mask=mask.png"], 2),
        (["start=picture.png"], 1),
        (["interpolate=[picture.png,3]"], 1),
        (["interpolate=[2,3]"], 0),
    ],
)
def test_a_grid_shows_the_images_that_steer_beside_the_samples(
    sampled, picture, monkeypatch, options, inputs
):
    monkeypatch.setattr(editing, "INVERSION", 10)
    sampled("out", "n=2", "sampler.steps=1", *options)
    grid, samples = np.asarray(Image.open("out/grid.png").convert("L")), 2 * 50 + 2
    assert grid.shape[0] == 52 + LINE * bool(inputs)
    assert grid.shape[1] >= samples + inputs * 52
    if inputs:
        assert np.array_equal(grid[LINE + 2 : -2 : 6, 2:50:6], picture)


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


@pytest.mark.parametrize("options", [["sampler.steps=1"], ["sampler.steps=3"], []])
def test_a_strength_just_below_1_keeps_something_of_the_image(sampled, picture, options):
    for strength in ("0.999", "1"):
        sampled(f"s{strength}", "start=picture.png", f"strength={strength}", "n=1", *options)
    assert not np.array_equal(image("s0.999"), image("s1"))


def saved(name, array):
    Image.fromarray(np.asarray(array)).save(name)


LOWER = np.repeat([[0], [255]], 4, axis=0).astype(np.uint8).repeat(8, axis=1)
OPAQUE = np.full_like(LOWER, 255)
MASKS = {
    "one bit": Image.fromarray(LOWER).convert("1"),
    "colours": Image.fromarray(LOWER).convert("RGB"),
    "white strokes on nothing": np.stack([LOWER] * 4, axis=-1),
    "black strokes on nothing": np.stack([0 * LOWER] * 3 + [LOWER], axis=-1),
    "a photo with alpha": np.stack([OPAQUE, 0 * LOWER, 77 + 0 * LOWER, LOWER], axis=-1),
    "grey with alpha": Image.merge("LA", [Image.fromarray(each) for each in (OPAQUE, LOWER)]),
    "opaque": np.stack([LOWER] * 3 + [OPAQUE], axis=-1),
    "16 bits": LOWER.astype(np.uint16) * 257,
}


@pytest.mark.parametrize("kind", MASKS)
def test_a_mask_of_any_kind_is_taken_as_it_is_meant(sampled, picture, kind):
    saved("lower.png", MASKS[kind])
    outcome = sampled("out", "inpaint=picture.png", "mask=lower.png", "resample=1", "n=1")
    assert np.array_equal(image("out")[:4], picture[:4])
    assert np.abs(image("out")[4:] - picture[4:]).max() > 1
    assert "inpaint    50% of the image is painted\n" in outcome.out


@pytest.mark.parametrize(
    ("mask", "told"),
    [
        (0 * LOWER, "paints nothing: its greys run from 0 to 0 of 255"),
        (OPAQUE, "paints everything: its greys run from 255 to 255 of 255"),
        (LOWER // 255, "paints nothing: its greys run from 0 to 1 of 255"),
        (LOWER // 2, "paints nothing: its greys run from 0 to 127 of 255"),
        (np.stack([LOWER] * 3 + [OPAQUE // 2], axis=-1) // 2, "paints nothing: its greys run"),
    ],
)
def test_a_mask_that_paints_nothing_or_everything_is_refused(command, trained, picture, mask, told):
    saved("other.png", mask)
    given = ["inpaint=picture.png", "mask=other.png", "hydra.run.dir=out"]
    outcome = command("sample", f"ckpt={trained}", *FAST, *given)
    rule = "mask must be white where it paints and black elsewhere"
    assert outcome.code == 1
    assert outcome.err.startswith(f"error: {rule}, but 'other.png' {told}")
    assert not Path("out").exists()


@pytest.mark.parametrize("size", [(16, 8), (8, 10), (640, 480)])
def test_a_mask_of_other_proportions_is_refused(command, trained, picture, size):
    Image.fromarray(LOWER).resize(size).save("other.png")
    given = ["inpaint=picture.png", "mask=other.png", "hydra.run.dir=out"]
    outcome = command("sample", f"ckpt={trained}", *FAST, *given)
    shape = f"{size[0]} x {size[1]}"
    told = f"mask must have the proportions of 'picture.png', 8 x 8, but 'other.png' is {shape}"
    assert (outcome.code, outcome.err) == (1, f"error: {told}\n")


@pytest.mark.parametrize("size", [(31, 20), (33, 22), (3000, 2001)])
def test_a_mask_may_be_of_another_size_than_its_image(sampled, size):
    Image.effect_noise((300, 200), 60).save("photo.png")
    Image.fromarray(LOWER).resize(size).save("other.png")
    sampled("out", "inpaint=photo.png", "mask=other.png", "resample=1", "n=1")


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


def test_interpolation_says_what_it_does_before_it_inverts_images(sampled, picture, monkeypatch):
    facts = []
    monkeypatch.setattr(
        "ddpm_cli.generation.build.invert_image",
        lambda denoise, diffusion, image: (
            facts.append(Path("way/sample.log").read_text()) or [image]
        ),
    )
    outcome = sampled("way", "interpolate=[picture.png,mask.png]", "n=3")
    assert len(facts) == 2
    assert "sampler    ddim, 4 steps" in facts[0]
    assert "noise of picture.png" in outcome.err


def test_indices_are_images_of_a_whole_run_to_the_last_bit(command, trained):
    of = [f"ckpt={trained}", *FAST, "sampler=ancestral", "batch=4"]
    command("sample", *of, "n=12", "npz=true", "hydra.run.dir=whole")
    outcome = command("sample", *of, "npz=true", "indices=[9,2,9]", "hydra.run.dir=two")
    assert outcome.code == 0, outcome.err
    assert Path("two/index.csv").read_text().splitlines()[1:] == [
        "2,,png/00000002.png,npz/00000002.npz,0",
        "9,,png/00000009.png,npz/00000009.npz,0",
    ]
    for index in (2, 9):
        assert np.array_equal(image("two", index), image("whole", index))
        array = np.load(f"two/npz/{index:08d}.npz")["arr_0"]
        assert np.array_equal(array[0, :, :, 0], image("whole", index))


def test_more_indices_join_those_that_are_there(command, trained):
    of = [f"ckpt={trained}", *FAST, "npz=true", "batch=4", "film=true", "hydra.run.dir=out"]
    command("sample", *of, "indices=[2,3]")
    before = Path("out/npz/00000002.npz").read_bytes()
    outcome = command("sample", *of, "indices=[2,1]")
    assert "resumed    1 of 2 images are there\n" in outcome.out
    assert Path("out/npz/00000002.npz").read_bytes() == before
    written = Path("out/index.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in written] == ["2", "3", "1"]
    command("sample", *of, "n=8")
    assert len({*Path("out/png").iterdir()}) == 8
    stored = ImageStore(Path("out"), png=True, npz=True)
    images = stored.images(stored.read_rows())
    assert all(np.array_equal(pixels[0], image("out", i)) for i, pixels in images.items())


def test_indices_of_all_labels_stand_in_the_rows_of_their_classes(command, conditional):
    of = [f"ckpt={conditional}", *FAST, "label=all", "indices=[3,13,20,15]"]
    assert command("sample", *of, "hydra.run.dir=out").code == 0
    labels = [row.split(",")[:2] for row in Path("out/index.csv").read_text().splitlines()[1:]]
    assert labels == [["3", "3"], ["13", "3"], ["15", "5"], ["20", "0"]]
    assert Image.open("out/grid.png").size[1] == 3 * 52


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
        (["start=nothing.png"], "start must be a file, but there is none at 'nothing.png'"),
        (
            ["start=picture.png", "interpolate=[1,2]"],
            "only one of start, inpaint and interpolate can be given, but there are start and "
            "interpolate",
        ),
        (["strength=0.5"], "strength=0.5 has no effect without start=IMAGE"),
        (
            ["inpaint=picture.png", "mask=mask.png", "strength=0.5"],
            "strength=0.5 has no effect without start=IMAGE",
        ),
        (["start=picture.png", "resample=2"], "resample=2 has no effect without inpaint=IMAGE"),
        (["quantile=0.9"], "quantile=0.9 has no effect without threshold=dynamic"),
        (["seed=4", "interpolate=[1,2]"], "seed=4 has no effect with interpolate"),
        (["start=picture.png", "strength=2"], "strength must be between 0 and 1, but is 2"),
        (
            ["interpolate=[-1,2]"],
            "a seed of interpolate must be at least 0 and less than 2^64, but is -1",
        ),
        (["interpolate=[1,2,3]"], "interpolate must be two seeds or images, but is [1, 2, 3]"),
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
        == f"error: label must be all, or one of the 10 classes ({known}), but is 'rose'\n"
    )


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_draws_about_the_same(sampled, precision):
    sampled("half", f"precision={precision}", "n=1")
    sampled("whole", "n=1")
    assert np.abs(image("half") - image("whole")).mean() < 8
