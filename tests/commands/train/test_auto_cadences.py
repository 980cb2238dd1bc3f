"""Runs with cadences `auto`: measured once, written down, kept by a resume."""

import json
import shlex
from pathlib import Path

import torch
from checkpoint_files import change
from conftest import TINY
from run_files import tensors

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.commands.train import checks, time_budget
from ddpm_cli.pace.costs import Costs

LAST = "run/checkpoints/last.safetensors"
RUN = [*TINY, "model.network.dropout=0.1", "trainer.steps=120", "hydra.run.dir=run"]
COSTS = Costs(step=0.1, validation=0.01, grid=0.01, save=0.01)
SLOW = Costs(step=0.1, validation=5.0, grid=0.01, save=0.01)


def costs_are(monkeypatch, costs):
    """Let a measurement take place, and find other costs."""
    real = time_budget.measure_costs
    monkeypatch.setattr(
        time_budget, "measure_costs", lambda *args, **more: real(*args, **more) and costs
    )


def test_the_numbers_are_in_the_estimate_the_facts_and_the_checkpoint(command, monkeypatch):
    costs_are(monkeypatch, COSTS)
    outcome = command("train", *RUN, "trainer.stop_at=2")
    assert outcome.code == 0, outcome.err
    assert "estimate   evaluation every 100 steps: 0% of the time\n" in outcome.out
    chosen = json.loads(Path("run/run.json").read_text())["cadences"]
    assert chosen == {
        "evaluate_every": 100,
        "measure_every": 500,
        "sample_every": 200,
        "checkpoint_every": 200,
    }
    assert Checkpoint.load(Path(LAST)).cadences == chosen


def test_the_command_that_trains_it_again_says_the_numbers(command, monkeypatch):
    costs_are(monkeypatch, SLOW)
    command("train", *RUN, "trainer.sample_every=60", "trainer.stop_at=2")
    again = shlex.split(command("info", f"ckpt={LAST}").out.splitlines()[-1])
    numbers = {"trainer.evaluate_every=200", "trainer.checkpoint_every=200"}
    assert {*again} >= numbers | {"trainer.sample_every=60"}


def test_a_resume_keeps_the_numbers_and_equals_the_run_that_never_stopped(command, monkeypatch):
    costs_are(monkeypatch, SLOW)
    whole = [*RUN[:-1], "hydra.run.dir=whole"]
    assert command("train", *whole, "trainer.stop_at=4").code == 0
    assert command("train", *RUN, "trainer.stop_at=2").code == 0
    monkeypatch.setattr(checks, "measure_costs_briefly", None)
    resumed = command("train", *RUN, "trainer.stop_at=4", "resume=auto")
    assert resumed.code == 0, resumed.err
    assert "changed" not in resumed.out
    assert Checkpoint.load(Path(LAST)).cadences["evaluate_every"] == 200
    one, other = tensors("whole"), tensors("run")
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_measurement_changes_nothing_of_the_run(command):
    assert command("train", *RUN, "trainer.stop_at=3").code == 0
    said = [
        "trainer.evaluate_every=100",
        "trainer.sample_every=200",
        "trainer.checkpoint_every=200",
    ]
    assert command("train", *RUN[:-1], *said, "trainer.stop_at=3", "hydra.run.dir=said").code == 0
    auto, plain = tensors("run"), tensors("said")
    assert all(torch.equal(auto[name], plain[name]) for name in auto)


def test_a_resume_takes_a_number_that_the_user_says(command, monkeypatch):
    costs_are(monkeypatch, SLOW)
    command("train", *RUN, "trainer.stop_at=2")
    command("train", *RUN, "trainer.evaluate_every=3", "trainer.stop_at=4", "resume=auto")
    chosen = Checkpoint.load(Path(LAST)).cadences
    assert (chosen["evaluate_every"], chosen["checkpoint_every"]) == (3, 200)


def test_a_resume_takes_the_numbers_of_a_file_of_before(command):
    command("train", *RUN, "trainer.evaluate_every=7", "trainer.stop_at=2")
    change(LAST, cadences={})
    command("train", *RUN, "trainer.stop_at=3", "resume=auto")
    assert Checkpoint.load(Path(LAST)).cadences["evaluate_every"] == 7


def test_minutes_and_auto_follow_from_the_same_costs(command, monkeypatch):
    costs_are(monkeypatch, COSTS)
    monkeypatch.setattr(time_budget, "steps_within", lambda *_: 8)
    outcome = command("train", *RUN, "trainer.minutes=1", "trainer.steps=80")
    assert outcome.code == 0, outcome.err
    chosen = Checkpoint.load(Path(LAST)).cadences
    assert chosen == {
        "evaluate_every": 10,
        "measure_every": 50,
        "sample_every": 20,
        "checkpoint_every": 20,
    }
    again = command("info", f"ckpt={LAST}").out.splitlines()[-1]
    assert "trainer.steps=8" in again
    assert "trainer.evaluate_every=10" in again


def test_the_doctor_says_the_numbers_and_writes_nothing(command, monkeypatch):
    costs_are(monkeypatch, SLOW)
    outcome = command("doctor", *TINY, "trainer.steps=300")
    assert "samples every 200 steps, checkpoints every 200" in outcome.out
    assert [*Path().iterdir()] == []


def test_another_word_than_auto_is_refused_in_one_line(command):
    outcome = command("train", *TINY, "trainer.sample_every=often")
    assert outcome.err == "error: trainer.sample_every must be int or auto, but is 'often'\n"
