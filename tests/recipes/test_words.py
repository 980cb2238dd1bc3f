"""What a recipe says: its lines, the pictures to expect, and what would fit."""

import pytest
from training_problem import trainer

from ddpm_cli.config.auto import FIXED
from ddpm_cli.pace.costs import Costs
from ddpm_cli.pace.first_preview import first_preview
from ddpm_cli.recipes.facts import Facts
from ddpm_cli.recipes.passes import passes_text
from ddpm_cli.recipes.recipe import Recipe
from ddpm_cli.recipes.remedy import remedy
from ddpm_cli.training.trainer import BY_COSTS

OPTIONS = {
    **FIXED,
    "data.size": 32,
    "model.network.dim": 64,
    "trainer.batch_size": 32,
    "trainer.optimizer.lr": 5e-4,
}
COSTS = Costs(step=2.0, validation=1.0, grid=10.0, save=1.0)
REMEDY = {
    "sampler.steps": 50,
    "trainer.batch_size": 32,
    "model.network.dim": 64,
    "model.network.dim_mults": [1, 2, 2, 2],
    "data.size": 64,
}
RUN = trainer(
    evaluate_every=BY_COSTS,
    measure_every=BY_COSTS,
    sample_every=BY_COSTS,
    checkpoint_every=BY_COSTS,
    steps=800,
)


def test_a_choice_is_three_lines_with_their_reasons():
    recipe = Recipe(Facts(203, 600, cores=2), list(FIXED))
    assert recipe.lines(OPTIONS, steps=1000) == [
        "images of 32 x 32, mirrored at random: about 203 images with sides of about 600, a CPU of "
        "2 threads; they are in colour",
        "a network of width 64 times [1, 2, 4], predicts eps with loss l2, fp32, not compiled: "
        "5.7 GFLOP an image, in at most 8 hours on cpu",
        "1,000 steps, batches of 32, learning rate 0.0005, EMA 0.999: 158 passes over the images "
        "of a small set",
    ]


@pytest.mark.parametrize(("name", "width"), [("dim", "64"), ("dim_mults", "[1, 2, 4]")])
def test_a_network_may_have_a_width_or_its_multiples_alone(name, width):
    key = f"model.network.{name}"
    lacking = {each for each in OPTIONS if each.startswith("model.network.")} - {key}
    options = {each: value for each, value in OPTIONS.items() if each not in lacking}
    (line,) = Recipe(Facts(203), [key]).lines(options, steps=10)
    assert line == f"a network of width {width}: by the device on cpu"


def test_passes_are_over_the_images_that_are_counted():
    lines = Recipe(Facts(203, 600), list(FIXED)).lines(OPTIONS, steps=1000, images=320)
    assert lines[-1].endswith(": 100 passes over the images of a small set")


def test_only_what_was_chosen_is_said():
    facts = Facts(None, device="cuda", minutes=30.0, memory=2.0**34)
    assert Recipe(facts, []).lines(OPTIONS, 10) == []
    assert Recipe(facts, ["data.size", "trainer.optimizer.lr"]).lines(OPTIONS, 10) == [
        "images of 32 x 32: an unknown number of images with sides of about 64, "
        "1 x cuda with 16 GiB",
        "learning rate 0.0005: 320 images in all",
    ]


@pytest.mark.parametrize(
    ("images", "seen", "told"),
    [
        (1000, 6000, "6.0 passes over the images: expect noise; about 300 are needed"),
        (1000, 60_000, "60 passes over the images: expect rough shapes; about 300 are needed"),
        (1000, 200_000, ""),
        (100_000, 10**6, ""),
        (100_000, 10**5, "1.0 passes over the images: expect noise; about 30 are needed"),
    ],
)
def test_few_passes_give_noise_and_a_large_set_needs_fewer(images, seen, told):
    assert passes_text(images, seen) == told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (1e9, "sampler.steps=10 would fit"),
        (50, "sampler.steps=10 would fit"),
        (25, "trainer.batch_size=8 would fit"),
        (21, "model.network.dim=32 would fit"),
        (4, "sampler.steps=10 trainer.batch_size=8 model.network.dim=16 data.size=16 would fit"),
    ],
)
def test_the_gentlest_change_that_fits_is_named(seconds, told):
    assert remedy(COSTS, REMEDY, RUN, seconds) == told


def test_the_minutes_are_named_where_nothing_is_left_to_change():
    said = {**REMEDY, "sampler.steps": "all", "trainer.batch_size": 1}
    said |= {"model.network.dim": None, "model.network.dim_mults": None, "data.size": 8}
    assert remedy(COSTS, said, RUN, 1.0) == "trainer.minutes=3 would fit"


def test_the_first_preview_comes_within_minutes_unless_the_run_is_short():
    slow = Costs(step=1.0, validation=0.0, grid=5.0, save=0.0)
    assert first_preview(slow, every=1000, steps=5000) == 120
    assert first_preview(slow, every=100, steps=5000) == 0  # the cadence comes sooner
    assert first_preview(slow, every=1000, steps=90) == 0  # more than a tenth of the time
    assert first_preview(Costs(400.0, 0.0, 1.0, 0.0), every=10, steps=50) == 1
