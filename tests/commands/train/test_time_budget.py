"""trainer.minutes: the length that it sets, and that nothing of the timing stays."""

import shlex
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import TINY
from training_problem import trainer

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.commands.train import setup as opening
from ddpm_cli.commands.train import time_budget
from ddpm_cli.commands.train import time_budget as budget
from ddpm_cli.pace import length_scaling
from ddpm_cli.pace.costs import Costs
from ddpm_cli.pace.run_length import steps_within

RECIPE = partial(
    trainer,
    warmup=100,
    ema=0.999,
    steps=800,
    log_every=50,
    evaluate_every=100,
    sample_every=200,
    checkpoint_every=100,
)
SELDOM = ["trainer.evaluate_every=400", "trainer.checkpoint_every=400"]
MEASURES = ["trainer.measures=[kid_pixels]", "trainer.measure_images=20"]
OPTIONS = [
    *TINY,
    *MEASURES,
    "model.network.dropout=0.1",
    "data.flip=true",
    "trainer.log_every=5",
    "trainer.steps=7",
]


@pytest.fixture
def seven_steps(monkeypatch):
    """A clock by which seven steps fit into a minute; what it times is real."""
    monkeypatch.setattr(budget, "MARGIN", 0)
    monkeypatch.setattr(budget, "TIMING", 1e-6)
    monkeypatch.setattr(budget, "steps_within", lambda *_: 7)


def tensors(folder):
    checkpoint = Checkpoint.load(Path(folder, "checkpoints/last.safetensors"))
    parts = ("network", "ema", "optimizer")
    own = [each for name, each in checkpoint.tensors.items() if name.split(".")[0] in parts]
    return [*own, torch.tensor(checkpoint.step)]


def test_the_steps_that_fit_leave_time_for_their_samples_and_checkpoints():
    costs = Costs(step=0.1, validation=0.1, grid=2.0, save=1.0)
    steps = steps_within(
        60, costs, RECIPE(steps=400, evaluate_every=50, sample_every=100, checkpoint_every=50)
    )
    total = (
        steps * 0.1 + (steps // 50 + 1) * 0.1 + (steps // 100 + 1) * 2.0 + (steps // 50 + 1) * 1.0
    )
    assert steps == 400
    assert 58 < total <= 60


def test_a_run_that_is_shorter_than_its_recipe_has_as_many_samples_and_checkpoints():
    costs, recipe = Costs(step=0.1, validation=0.1, grid=2.0, save=1.0), RECIPE()
    steps = steps_within(60, costs, recipe)
    paced = length_scaling.scale_to_length(vars(recipe), steps)
    evaluated, sampled, saved = (
        1 + steps // paced[name] for name in ("evaluate_every", "sample_every", "checkpoint_every")
    )
    total = steps * 0.1 + evaluated * 0.1 + sampled * 2.0 + saved * 1.0
    assert steps == 431
    assert 59 < total <= 60
    assert paced == {
        "log_every": 27,
        "evaluate_every": 54,
        "measure_every": 1,
        "sample_every": 108,
        "checkpoint_every": 54,
        "warmup": 53,
        "ema": pytest.approx(1 - 0.001 * 800 / 431),
    }
    assert length_scaling.scale_to_length(vars(RECIPE(steps=400)), steps) == {}


def test_checkpoints_of_a_shorter_run_are_evaluated_as_those_of_its_recipe():
    paced = length_scaling.scale_to_length(vars(RECIPE(checkpoint_every=200)), 267)
    assert (paced["evaluate_every"], paced["checkpoint_every"]) == (34, 68)


@pytest.mark.parametrize(
    ("measured", "saved", "expected"),
    [(100, 200, (34, 68)), (200, 200, (67, 67)), (400, 200, (134, 67))],
)
def test_checkpoints_of_a_shorter_run_are_measured_as_those_of_its_recipe(
    measured, saved, expected
):
    recipe = RECIPE(
        measures=["fd_pixels"], best="fd_pixels", measure_every=measured, checkpoint_every=saved
    )
    paced = length_scaling.scale_to_length(vars(recipe), 267)
    assert (paced["measure_every"], paced["checkpoint_every"]) == expected


def test_the_steps_that_fit_leave_time_for_measurements():
    recipe = RECIPE(
        steps=400, evaluate_every=100, sample_every=100, checkpoint_every=100, measure_every=100
    )
    costs = Costs(step=0.1, validation=0.0, grid=0.0, save=0.0, measurement=2.0)
    steps = steps_within(60, costs, recipe)
    assert 58 < steps * 0.1 + ((steps - 1) // 100 + 1) * 2.0 <= 60


@pytest.mark.slow
def test_a_shortened_run_equals_the_command_that_trains_it_again(command, seven_steps):
    assert (
        command(
            "train", *OPTIONS, "trainer.steps=70", "trainer.minutes=1", "hydra.run.dir=timed"
        ).code
        == 0
    )
    again = shlex.split(
        command("info", "ckpt=timed/checkpoints/last.safetensors").out.splitlines()[-1]
    )[1:]
    assert command("train", *again, "hydra.run.dir=again").code == 0
    assert all(
        map(
            torch.equal,
            *([torch.as_tensor(each) for each in tensors(folder)] for folder in ("timed", "again")),
        )
    )
    assert Path("timed/metrics.jsonl").read_text().count("\n") == 7


@pytest.mark.parametrize("optimizer", ["AdamW", "Adagrad"])
def test_a_run_of_so_many_minutes_equals_one_of_so_many_steps(command, seven_steps, optimizer):
    kind = [
        "~trainer.optimizer.betas",
        "~trainer.optimizer.fused",
        "trainer.optimizer._target_=torch.optim.Adagrad",
    ] * (optimizer == "Adagrad")
    timed = command("train", *OPTIONS, *kind, "trainer.minutes=1", "hydra.run.dir=timed")
    counted = command("train", *OPTIONS, *kind, "trainer.steps=7", "hydra.run.dir=counted")
    assert (timed.code, counted.code) == (0, 0), timed.err
    assert "length     7 steps of 16 images, 0.1 epochs (set by trainer.minutes=1)" in timed.out
    assert all(
        map(
            torch.equal,
            *(
                [torch.as_tensor(each) for each in tensors(folder)]
                for folder in ("timed", "counted")
            ),
        )
    )
    assert {path.name for path in Path("timed").iterdir()} == {
        path.name for path in Path("counted").iterdir()
    }


@pytest.mark.slow
def test_a_resume_with_the_same_minutes_keeps_the_length(command, seven_steps, monkeypatch):
    command("train", *OPTIONS, "trainer.minutes=1", "hydra.run.dir=whole")
    command("train", *OPTIONS, "trainer.minutes=1", "hydra.run.dir=parts", "trainer.stop_at=4")
    monkeypatch.setattr(opening, "steps_that_fit", None)
    resumed = command("train", *OPTIONS, "trainer.minutes=1", "hydra.run.dir=parts", "resume=auto")
    assert resumed.code == 0, resumed.err
    assert "length     7 steps" in resumed.out
    assert "changed" not in resumed.out
    assert all(
        map(
            torch.equal,
            *([torch.as_tensor(each) for each in tensors(folder)] for folder in ("whole", "parts")),
        )
    )


@pytest.mark.slow
def test_a_resume_with_other_minutes_is_given_them_and_says_so(command, seven_steps):
    command("train", *OPTIONS, "trainer.minutes=1", "hydra.run.dir=run", "trainer.stop_at=4")
    out = command("train", *OPTIONS, "trainer.minutes=2", "hydra.run.dir=run", "resume=auto").out
    assert "trainer.minutes: 1 -> 2" in out
    assert "steps in all: 7 -> 11" in out


@pytest.mark.slow
def test_the_command_that_trains_it_again_says_the_steps(command, seven_steps):
    command("train", *OPTIONS, "trainer.minutes=1", "hydra.run.dir=run")
    out = command("info", "ckpt=run/checkpoints/last.safetensors").out
    assert "step        7 of 7" in out
    assert "trainer.steps=7" in out.splitlines()[-1]
    assert "minutes" not in out.splitlines()[-1]


def test_a_budget_without_room_for_a_step_is_told_in_one_line(command):
    silent = "data.cache=off", "hydra.run.dir=run"  # a new cache would be logged
    outcome = command("train", *TINY, "trainer.minutes=1e-5", *silent)
    assert (outcome.code, outcome.err.splitlines()[-1].count("error: ")) == (1, 1)
    assert "error: trainer.minutes=1e-05 is too short: a step takes" in outcome.err
    assert not Path("run").exists()


def test_minutes_and_epochs_together_are_refused_in_one_line(command):
    outcome = command("train", *TINY, "trainer.minutes=5", "trainer.epochs=2")
    assert (
        outcome.err
        == "error: trainer: minutes must be positive and without epochs, but they are 5 and 2\n"
    )


@pytest.mark.slow
def test_a_run_ends_in_time_with_its_last_samples(command, monkeypatch):
    began, clock = (
        [],
        SimpleNamespace(perf_counter=time.process_time),
    )  # which the other tests of this machine do not slow
    for module in (budget, opening):
        monkeypatch.setattr(module, "time", clock)
    measured = time_budget.steps_that_fit
    monkeypatch.setattr(
        opening, "steps_that_fit", lambda run, since: began.append(since) or measured(run, since)
    )
    outcome = command("train", *TINY, "trainer.minutes=0.15", *SELDOM, "hydra.run.dir=run")
    checkpoint = Checkpoint.load(Path("run/checkpoints/last.safetensors"))
    took = budget.time.perf_counter() - began[0]
    assert outcome.code == 0, outcome.err
    assert checkpoint.step == checkpoint.steps
    assert Path(f"run/samples/step_{checkpoint.step:08d}.png").exists()
    assert 4.5 < took < 13.5  # of 9 s; a busy machine is slower than it was
