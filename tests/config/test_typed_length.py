"""A typed length, which takes the place of the lengths in YAML files."""

from pathlib import Path

import pytest
import yaml
from conftest import TINY

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.config.typed_length import clear_untyped_lengths

DIGITS = "+experiment=digits_conditional"  # sets minutes


@pytest.mark.parametrize(
    ("typed", "lengths"),
    [
        (["trainer.steps=40"], (40, None, None)),
        (["trainer.epochs=3"], (800, 3, None)),
        (["++trainer.minutes=5"], (800, None, 5)),
        (["trainer.steps=40", "trainer.minutes=1"], (40, None, 1)),
        (["trainer.epochs=null"], (800, None, 2)),
        (["trainer.minutes=null"], (800, None, None)),
        ([], (800, None, 2)),
    ],
)
def test_a_typed_length_clears_those_of_an_experiment(composed, typed, lengths):
    cfg = composed("train", DIGITS, *typed)
    clear_untyped_lengths(cfg, [DIGITS, *typed])
    assert (cfg.trainer.steps, cfg.trainer.epochs, cfg.trainer.minutes) == lengths


def test_a_command_without_a_trainer_has_no_length(composed):
    clear_untyped_lengths(composed("plot", "runs=[x]"), ["trainer.steps=1"])


def test_a_run_an_experiment_and_its_recipe_train_the_typed_steps(command):
    experiment = [DIGITS, *TINY, "trainer.steps=2"]
    outcome = command("train", *experiment, "hydra.run.dir=run")
    assert "length     2 steps" in outcome.out, outcome.err
    assert "trainer.minutes=" not in outcome.out
    where = ["recipe=run", "hydra.run.dir=again"]
    assert command("train", *where, "trainer.steps=3").code == 0
    again = Checkpoint.load(Path("again/checkpoints/last.safetensors"))
    assert (again.step, again.config.trainer.minutes) == (3, None)


@pytest.mark.parametrize("flag", [["--cfg", "job"], ["--cfg=job"], ["-c", "job"]])
def test_the_printed_options_are_those_that_the_run_takes(command, flag):
    printed = yaml.safe_load(command("train", DIGITS, "trainer.steps=40", *flag).out)
    assert [printed["trainer"][name] for name in ("steps", "epochs", "minutes")] == [40, None, None]
