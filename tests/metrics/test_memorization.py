"""Copies: found where images are training images, and not where they are new."""

from statistics import mean

import pytest
import torch

from ddpm_cli.metrics import copies


def drawn(count, seed=0, dimensions=8):
    return torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed))


def turned(features):
    """Features of the mirror images."""
    return features.flip(1)


TRAINING, HELD_OUT = drawn(300, 1), drawn(200, 2)


def found(generated, held_out=HELD_OUT, training=TRAINING):
    return copies(
        generated,
        turned(generated),
        training,
        held_out=held_out,
        held_out_mirrored=None if held_out is None else turned(held_out),
        training_mirrored=turned(training),
    )


@pytest.mark.parametrize("held_out", [HELD_OUT, HELD_OUT[:39], None])
def test_training_images_are_copies_each_of_itself(held_out):
    outcome = found(TRAINING[:200], held_out)
    assert outcome.share.value == 1
    assert torch.equal(outcome.nearest, torch.arange(200))
    assert not outcome.mirrored.any()
    assert outcome.summary().startswith(
        "copies: 100.0% [98.1, 100.0] of the samples are as close to a training image"
        " as the closest 5% of "
    )
    assert outcome.summary().endswith("the model copies")


def test_the_verdict_says_what_images_are_compared_with():
    assert (
        "the closest 5% of held-out images are: no more than images that it never saw"
        in found(drawn(200)).summary()
    )
    assert (
        "the closest 5% of training images are to one another: no more than these"
        in found(drawn(200), None).summary()
    )


def test_mirror_images_are_copies_and_said_to_be_mirrored():
    outcome = found(turned(TRAINING[:100]))
    assert outcome.share.value == 1
    assert outcome.mirrored.all()
    assert torch.equal(outcome.nearest, torch.arange(100))


@pytest.mark.parametrize("held_out", [HELD_OUT, None])
def test_new_images_are_copies_at_about_the_nominal_rate(held_out):
    outcome = found(drawn(2000), held_out)
    assert outcome.nominal == pytest.approx(0.05, abs=0.001)
    assert outcome.share.value == pytest.approx(0.05, abs=0.02)


def test_held_out_images_are_copies_at_the_nominal_rate():
    assert found(HELD_OUT).share.value == pytest.approx(found(HELD_OUT).nominal, abs=0.001)


def test_a_ratio_is_of_the_nearest_to_the_nearest_fifty():
    distances = torch.cdist(drawn(1).double(), TRAINING.double()).sort().values[0]
    outcome = copies(
        drawn(1),
        drawn(1) + 100,
        TRAINING,
        held_out=HELD_OUT,
        held_out_mirrored=turned(HELD_OUT),
        training_mirrored=None,
    )
    assert float(outcome.ratios[0]) == pytest.approx(float(distances[0] / distances[:50].mean()))


def test_held_out_images_that_are_training_images_too_do_not_move_the_threshold_to_nothing():
    assert found(TRAINING[:100], torch.cat([HELD_OUT[:100], TRAINING[:50]])).threshold > 0.1


@pytest.mark.parametrize("held_out", [HELD_OUT, None])
def test_pictures_that_a_set_holds_twice_do_not_hide_copies(held_out):
    twice = torch.cat([TRAINING, TRAINING[:20] + 0.01 * drawn(20, 5)])
    if held_out is not None:
        held_out = torch.cat([held_out, TRAINING[:20] + 0.02 * drawn(20, 6)])
    generated = torch.cat([drawn(150), TRAINING[100:150] + 0.3 * drawn(50, 7)])
    assert found(generated, held_out, twice).summary().endswith("the model copies")
    assert not found(drawn(200), held_out, twice).summary().endswith("the model copies")


@pytest.mark.parametrize("held_out", [HELD_OUT[:60], None])
def test_of_ten_models_that_copy_nothing_none_is_said_to(held_out):
    assert not any(
        found(drawn(200, seed), held_out).summary().endswith("the model copies")
        for seed in range(10, 20)
    )


@pytest.mark.slow
@pytest.mark.parametrize(("held_out", "training"), [(60, 300), (0, 100)])
def test_of_a_hundred_models_that_copy_nothing_hardly_any_is_said_to(held_out, training):
    fresh = [
        found(
            drawn(100, i),
            drawn(held_out, i + 1000) if held_out else None,
            drawn(training, i + 2000),
        )
        for i in range(100)
    ]
    alarms = mean(each.summary().endswith("the model copies") for each in fresh)
    assert alarms <= 0.04, f"{alarms:.0%} of the verdicts are false alarms"


@pytest.mark.parametrize("held_out", [HELD_OUT[:40], HELD_OUT, None])
def test_a_model_that_copies_in_three_cases_of_ten_is_found_out(held_out):
    outcome = found(torch.cat([drawn(140), TRAINING[:60] + 0.02 * drawn(60, 3)]), held_out)
    assert outcome.summary().endswith("the model copies")
    assert 0.28 < outcome.share.value < 0.45


def test_among_twenty_training_images_copies_are_found():
    outcome = found(TRAINING[:20].repeat(5, 1) + 0.02 * drawn(100), None, TRAINING[:20])
    assert outcome.summary().endswith("of training images are to one another: the model copies")


def test_a_lone_training_image_is_refused():
    with pytest.raises(
        ValueError, match="copies are found among at least 3 training images, but there are 2"
    ):
        found(drawn(5), None, TRAINING[:2])
