"""Steps whose numbers are not finite: skipped, recorded and gone back from."""

import itertools
import json
import math
from pathlib import Path

import pytest
from conftest import TINY
from run_files import rows

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.training import step

POISON = [
    *TINY,
    "trainer.steps=20",
    "trainer.checkpoint_every=4",
    "trainer.bad_steps=3",
    "trainer.log_every=1",
    "hydra.run.dir=run",
]


def poisoned_batches(monkeypatch, *steps):
    clean = step.add_keyed_noise

    def poisoned(denoiser, batch, seed, **options):
        found = clean(denoiser, batch, seed, **options)
        found.x_t[2] += float("nan") if batch.step in steps else 0.0
        return found

    monkeypatch.setattr(step, "add_keyed_noise", poisoned)


def poisoned_weights(monkeypatch, *times):
    """Spoil a weight before batches, of which the first is the preflight's.

    No copy of a checkpoint must be under way.
    """
    steps, clean = itertools.count(), step.add_keyed_noise

    def poison(denoiser, *others, **options):
        if next(steps) in times:  # the preflight noises its batch twice
            next(denoiser.network.parameters()).data[0] = float("inf")
        return clean(denoiser, *others, **options)

    monkeypatch.setattr(step, "add_keyed_noise", poison)


def incidents():
    return [json.loads(line) for line in Path("run/incidents.jsonl").read_text().splitlines()]


def test_a_poisoned_image_costs_one_step_and_is_named(command, monkeypatch):
    poisoned_batches(monkeypatch, 6)
    outcome = command("train", *POISON)
    assert outcome.code == 0, outcome.err
    assert (
        "warning: step 7 was skipped: its numbers are not finite; see incidents.jsonl"
        in outcome.out
    )
    (incident,) = incidents()
    assert (incident["step"], incident["loss"], incident["grad_norm"], incident["weights"]) == (
        7,
        "nan",
        "nan",
        [],
    )
    assert [index for index, loss in enumerate(incident["losses"]) if loss == "nan"] == [2]
    assert len(incident["indices"]) == len(incident["times"]) == 16
    assert [row["loss"] is None for row in rows("run")].index(True) == 6
    assert rows("run")[-1]["skipped"] == 1


def test_a_poisoned_weight_sends_the_run_back_once_with_half_the_learning_rate(
    command, monkeypatch
):
    poisoned_weights(monkeypatch, 11)
    outcome = command("train", *POISON)
    assert outcome.code == 0, outcome.err
    assert "3 steps in a row without finite numbers" in outcome.out
    assert "back to step_00000008.safetensors with half the learning rate" in outcome.out
    assert incidents()[0]["weights"] == ["stem.weight"]
    assert [row["step"] for row in rows("run")] == list(range(1, 21))
    assert rows("run")[8]["lr"] == pytest.approx(
        0.5 * 0.003 * 0.5 * (1 + math.cos(math.pi * 8 / 20))
    )
    assert Checkpoint.load(Path("run/checkpoints/last.safetensors")).lr_scale == 0.5


def test_numbers_that_stay_bad_end_the_run_with_the_evidence_and_the_last_good_checkpoint(
    command, monkeypatch
):
    poisoned_weights(monkeypatch, 11, 15)
    outcome = command("train", *POISON)
    assert outcome.code == 1
    assert (
        "though the learning rate was halved; the last good checkpoint stays; the evidence is in"
        in outcome.err
    )
    assert outcome.err.count("error: ") == 1
    assert Checkpoint.load(Path("run/checkpoints/last.safetensors")).step == 8


def test_a_learning_rate_that_explodes_before_the_first_checkpoint_is_told(command):
    outcome = command(
        "train",
        *POISON,
        "trainer.optimizer.lr=1e30",
        "trainer.grad_clip=null",
        "trainer.checkpoint_every=20",
    )
    assert outcome.code == 1
    assert "no checkpoint to go back to; try a smaller trainer.optimizer.lr" in outcome.err


def test_an_overflow_of_fp16_is_no_incident_and_its_scale_falling_below_one_is(
    command, monkeypatch
):
    monkeypatch.setattr(step, "add_keyed_noise", overflowing(step.add_keyed_noise))
    often = [
        *TINY,
        "trainer.precision=fp16",
        "trainer.batch_size=2",
        "trainer.steps=17",
        "trainer.log_every=1",
        "hydra.run.dir=run",
    ]
    outcome = command("train", *often)
    assert outcome.code == 0, outcome.err
    assert not Path("run/incidents.jsonl").exists()
    assert {row["skipped"] for row in rows("run")} == {0}
    command("train", *often, "trainer.steps=19", "trainer.stop_at=19", "hydra.run.dir=more")
    assert [
        row["step"]
        for row in map(json.loads, Path("more/incidents.jsonl").read_text().splitlines())
    ] == [18, 19]


def overflowing(clean):
    def noised(denoiser, *others, **options):
        next(denoiser.network.parameters()).register_hook(lambda gradient: gradient + math.inf)
        return clean(denoiser, *others, **options)

    return noised
