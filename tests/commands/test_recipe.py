"""`recipe=CKPT`: a checkpoint's options, without what only a user can give."""

import shlex
import shutil
from pathlib import Path

import pytest
from checkpoint_files import GOLDEN, change, edit
from conftest import TINY

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.config.overrides import in_reading_order


def printed_command(out):
    return shlex.split(out.splitlines()[-1])[1:]


def test_the_printed_command_is_the_one_that_was_typed_in_the_order_of_reading(command):
    typed = [*TINY, "trainer.steps=3", "schedule=linear", "trainer.stop_at=2"]
    assert command("train", *typed, "hydra.run.dir=run").code == 0
    said = printed_command(command("info", "ckpt=run/checkpoints/last.safetensors").out)
    assert said == in_reading_order(typed[:-1])


def test_a_recipe_composes_what_was_typed_but_for_what_is_said(command):
    command("train", *TINY, "trainer.steps=3", "schedule=linear", "hydra.run.dir=run")
    where = ["recipe=run/checkpoints/last.safetensors", "hydra.run.dir=again"]
    outcome = command("train", *where, "seed=5", "schedule=cosine")
    assert outcome.code == 0, outcome.err
    one, other = (
        Checkpoint.load(Path(name, "checkpoints/last.safetensors")) for name in ("run", "again")
    )
    assert (other.config.seed, other.step) == (5, 3)
    assert other.config.schedule._target_ == "ddpm_cli.schedules.cosine"
    assert other.config.model == one.config.model
    assert other.overrides == [*TINY, "trainer.steps=3", "seed=5", "schedule=cosine"]


def test_a_recipe_of_an_old_checkpoint_follows_from_its_configuration(command):
    outcome = command("train", f"recipe={GOLDEN / 'format_4.pt'}", "hydra.run.dir=again")
    assert outcome.code == 0, outcome.err
    again = Checkpoint.load(Path("again/checkpoints/last.safetensors"))
    assert (again.step, again.config.model.conditional) == (6, True)


@pytest.mark.parametrize(
    ("stored", "told"),
    [
        (["trust=[os]"], "needs 'trust=[os]', which only you can give"),
        (["hydra.run.dir=/tmp/x"], "the override 'hydra.run.dir=/tmp/x' is of no recipe"),
        (["+hydra.searchpath=[x]"], "the override '+hydra.searchpath=[x]' is of no recipe"),
        (["--multirun"], "the override '--multirun' is of no recipe"),
        (["+experiment=../../x"], "the override '+experiment=../../x' is of no recipe"),
        (["data=../../x"], "the override 'data=../../x' is of no recipe"),
        (["data=/tmp/x"], "the override 'data=/tmp/x' is of no recipe"),
        (["+data@hydra=x"], "the override '+data@hydra=x' is of no recipe"),
        (["data.x=" + "[" * 60], "is of no recipe"),
        (["seed=1"] * 600, "'overrides' must be at most 500 texts"),
        (["recipe=other"], "the override 'recipe=other' is of no recipe"),
        (["data.path=${oc.env:HOME}"], "the override 'data.path=${oc.env:HOME}' is of no recipe"),
    ],
)
def test_a_recipe_from_a_stranger_gives_options_and_nothing_else(command, trained, stored, told):
    shutil.copy(trained, "x.safetensors")
    edit(Path("x.safetensors"), overrides=stored)
    outcome = command("train", "recipe=x.safetensors", "hydra.run.dir=again")
    assert outcome.code == 1
    assert told in outcome.err
    assert not Path("again").exists()


def test_flags_may_stand_behind_a_recipe(command, trained):
    Path("mine").mkdir()
    change(trained, "x.safetensors", config_dir="elsewhere")
    said = ["recipe=x.safetensors", "--config-dir", "mine", "trainer.steps=1"]
    outcome = command("train", *said, "~trainer.optimizer.fused", "hydra.run.dir=again")
    assert outcome.code == 0, outcome.err
    again = Checkpoint.load(Path("again/checkpoints/last.safetensors"))
    assert (again.step, "fused" in again.config.trainer.optimizer) == (1, False)


def test_a_recipe_with_yaml_files_of_its_own_needs_their_folder_to_be_named(command, trained):
    change(trained, "x.safetensors", config_dir="/elsewhere")
    outcome = command("train", "recipe=x.safetensors", "hydra.run.dir=again")
    assert outcome.code == 1
    assert "needs --config-dir=/elsewhere, which only you can give" in outcome.err


def test_a_home_folder_that_is_not_there_is_told(command):
    for name, option in (("train", "recipe"), ("info", "ckpt")):
        outcome = command(name, f"{option}='~no-such-user/x.safetensors'")
        assert (outcome.code, outcome.err.count("\n")) == (1, 1)
        assert "there is no checkpoint at '~no-such-user/x.safetensors'" in outcome.err


def test_options_of_a_choice_go_with_the_choice(command):
    typed = [*TINY, "schedule=sigmoid", "schedule.width=5.0", "trainer.steps=1"]
    command("train", *typed, "hydra.run.dir=run")
    where = ["recipe=run/checkpoints/last.safetensors", "hydra.run.dir=again"]
    outcome = command("train", *where, "schedule=cosine")
    assert outcome.code == 0, outcome.err
    config = Checkpoint.load(Path("again/checkpoints/last.safetensors")).config
    assert config.schedule._target_ == "ddpm_cli.schedules.cosine"
    assert config.model.network.dim == 8


def test_an_option_beside_a_recipe_leaves_its_group(command):
    command("train", *TINY, "trainer.steps=2", "hydra.run.dir=run")
    where = ["recipe=run/checkpoints/last.safetensors", "hydra.run.dir=again"]
    outcome = command("train", *where, "trainer.steps=1")
    assert outcome.code == 0, outcome.err
    config = Checkpoint.load(Path("again/checkpoints/last.safetensors")).config
    assert (config.trainer.steps, config.trainer.batch_size) == (1, 16)
