"""The verdict on a run: which losses make which word, and that it goes with the checkpoint."""

import math

import pytest
import torch

from ddpm_cli.training.best_checkpoint import BestCheckpoint
from ddpm_cli.training.verdict import FLAT, IMPROVING, LEVELS, OVERFITTING, Verdict

NOISE = 0.3 * torch.randn(32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def judged(held_out, training, every=10):
    """The verdict after evaluations with these mean losses, which vary a little by image."""
    verdict = Verdict()
    for place, (one, other) in enumerate(zip(held_out, training, strict=True), 1):
        verdict.judge(place * every, one + NOISE + 0.01 * NOISE.roll(place), other + NOISE, every)
    return verdict


@pytest.mark.parametrize(
    ("held_out", "training", "word", "since"),
    [
        ([3, 2, 1.5, 1.2], [3, 2, 1.5, 1.1], IMPROVING, 40),
        ([3, 2, 1.5, 1.5001, 1.5001], [3, 2, 1.5, 1.4, 1.3], IMPROVING, 30),
        ([3, 2, *[2.0001] * 5], [3, 2, *[1.9] * 5], FLAT, 20),
        ([3, 2, 2.1, 2.4], [3, 2, 1.9, 1.5], OVERFITTING, 20),
        ([3, 2, 2.1, 2.4], [3, 2, 2.1, 2.4], IMPROVING, 20),
        ([3, 2, 2.1, 2.4, 1.9], [3, 2, 1.9, 1.5, 1.4], IMPROVING, 50),
        ([3, 2, *[2.4] * 8], [3, 2, *[2.4] * 8], FLAT, 20),
    ],
)
def test_the_word_follows_from_the_losses_since_the_best_evaluation(
    held_out, training, word, since
):
    verdict = judged(held_out, training)
    assert (verdict.word, verdict.since) == (word, since)


def test_a_rise_within_the_noise_of_the_images_is_no_overfitting():
    verdict = Verdict()
    verdict.judge(10, NOISE, NOISE, 10)
    verdict.judge(20, NOISE.flip(0) + 0.05, NOISE - 1, 10)
    assert verdict.word == IMPROVING


def test_a_rise_that_all_images_share_is_overfitting_though_few_rise_far():
    before = torch.tensor([0.002, 0.003, 0.01, 0.02, 0.05, 0.08, 0.12], dtype=torch.float64)
    verdict = Verdict()
    verdict.judge(10, before, before, 10)
    verdict.judge(20, 1.7 * before, before / 2, 10)
    assert verdict.is_overfitting


def test_losses_that_are_not_finite_are_no_evaluation():
    verdict = judged([2.0], [2.0])
    assert not verdict.judge(20, torch.full((32,), math.nan, dtype=torch.float64), NOISE, 10)
    assert (verdict.since, verdict.latest[0]) == (10, 10)


def test_two_evaluations_are_too_few_to_tell():
    verdict = judged([3, 2], [3, 2])
    for place, words in enumerate(["too few evaluations to tell"] * 2 + ["still improving"], 1):
        verdict.add_column(10 * place, torch.zeros(1, LEVELS))
        assert verdict.summary().startswith(f"{words}: held-out loss 1.")


def test_a_turn_is_told_once():
    verdict = judged([3, 2], [3, 2])
    assert verdict.judge(30, NOISE + 2.5, NOISE + 1, 10)
    assert not verdict.judge(40, NOISE + 2.6, NOISE + 1, 10)
    assert verdict.summary().startswith("overfitting since step 20: held-out loss 2.")


def test_the_best_checkpoint_is_the_evaluated_one_with_the_lowest_loss():
    verdict = judged([3], [3])
    verdict.best.candidate = 10, 3.0
    assert [verdict.best.update(10), verdict.best.update(15)] == [True, False]
    verdict.judge(20, NOISE + 4, NOISE, 10)
    verdict.best.candidate = 20, 4.0
    assert not verdict.best.update(20)
    verdict.judge(30, NOISE + 1, NOISE, 10)
    verdict.best.candidate = 30, 1.0
    assert [verdict.best.update(30), verdict.best.update(30)] == [True, True]
    assert verdict.summary().endswith("at step 30; best.safetensors is of step 30")
    by_kid = verdict.summary("kid_pixels")
    assert by_kid.endswith("at step 30; best.safetensors is of step 30 by kid_pixels, 1")


def test_a_best_checkpoint_is_remembered_without_held_out_images():
    verdict = Verdict(best=BestCheckpoint(candidate=(20, 0.5)))
    assert verdict.best.update(20)
    again = Verdict.from_state_dict(verdict.state_dict(), 30)
    again.best.candidate = 30, 0.6
    assert not again.best.update(30)
    assert again.summary("fd_pixels") == "best.safetensors is of step 20 by fd_pixels, 0.5"


def test_a_step_at_which_the_number_was_not_taken_or_is_none_is_not_the_best():
    best = BestCheckpoint(candidate=(10, 0.5))
    assert not best.update(15)
    best.candidate = 20, math.nan
    assert not best.update(20)


def test_a_verdict_that_comes_back_goes_on_as_it_was():
    verdict = judged([3, 2, 2.3], [3, 2, 1.8])
    verdict.best.candidate = 30, 2.3
    verdict.best.update(30)
    again = Verdict.from_state_dict(verdict.state_dict(), 30)
    assert verdict.summary() == again.summary()
    losses = (NOISE + 2.4, NOISE + 1.5)
    assert verdict.judge(40, *losses, 10) == again.judge(40, *losses, 10)
    assert verdict.summary() == again.summary()
    assert Verdict.from_state_dict({}, 0).state_dict() == Verdict().state_dict() == {}


def test_a_verdict_of_a_checkpoint_without_the_latest_losses_is_read():
    state = judged([3, 2], [3, 2]).state_dict()
    del state["latest"]
    again = Verdict.from_state_dict(state, 20)
    assert (again.since, again.latest) == (20, None)


def test_losses_by_time_go_with_their_steps_and_a_step_has_one_column():
    verdict = judged([3], [3])
    for step, loss in ((10, 3.0), (20, 2.0), (20, 1.0), (30, math.nan)):
        verdict.add_column(step, torch.full((1, LEVELS), loss))
    again = Verdict.from_state_dict(verdict.state_dict(), 30)
    assert (again.column_steps.tolist(), again.by_time[:, 0].tolist()) == ([10, 20], [3, 1])


def test_losses_by_time_of_a_checkpoint_without_their_steps_are_left_out():
    verdict = judged([3], [3])
    verdict.add_column(10, torch.ones(1, LEVELS))
    state = verdict.state_dict()
    del state["column_steps"]
    assert len(Verdict.from_state_dict(state, 10).by_time) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"steps": torch.tensor([9, 0, 0])},
        {"steps": torch.tensor([0, 0])},
        {"steps": torch.tensor([0, -1, 0])},
        {"steps": torch.tensor([0, 20, 0])},
        {"steps": torch.tensor([0, 10, 2**62])},
        {"best": torch.tensor(1.0)},
        {"held_out": torch.zeros(2, 2, dtype=torch.float64)},
        {"more": torch.zeros(1)},
        {"best": torch.tensor([1.0, 2.0], dtype=torch.float64)},
        {"by_time": torch.zeros(2, 3)},
        {"by_time": torch.zeros(2, LEVELS), "column_steps": torch.tensor([5])},
        {"by_time": torch.zeros(2, LEVELS), "column_steps": torch.tensor([5, 5])},
        {"by_time": torch.zeros(1, LEVELS), "column_steps": torch.tensor([11])},
        {"latest": torch.tensor([10.0, 1.0], dtype=torch.float64)},
        {"latest": torch.tensor([11.0, 1.0, 1.0], dtype=torch.float64)},
        {"latest": torch.tensor([math.nan, 1.0, 1.0], dtype=torch.float64)},
    ],
)
def test_what_is_no_verdict_is_refused(change):
    with pytest.raises(ValueError, match="the checkpoint's verdict on its run is invalid"):
        Verdict.from_state_dict({**judged([3], [3]).state_dict(), **change}, 10)
