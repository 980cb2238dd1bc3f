"""ddpm-info: what a checkpoint says of itself, and the command that trains it again."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from checkpoint_files import change, change_config
from conftest import TINY
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from ddpm_cli import config, data
from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.commands.info import checkpoint_lines
from ddpm_cli.config import overrides


def printed_command(out):
    name, *said = shlex.split(out.splitlines()[-1])
    assert name == "ddpm-train"
    return said


def test_info_says_step_parameters_images_and_environment_and_leaves_nothing(command, trained):
    before = sorted(Path().rglob("*"))
    outcome = command("info", f"ckpt={trained}")
    checkpoint = Checkpoint.load(trained)
    assert outcome.code == 0, outcome.err
    assert "step        4 of 4, learning rate times 1" in outcome.out
    assert "parameters  58,273" in outcome.out
    assert (
        f"1 x 8 x 8 (channels, height, width), fingerprint {checkpoint.fingerprint}" in outcome.out
    )
    assert "classes     0, 1, 2, 3, 4, 5, 6, 7, 8, 9" in outcome.out
    assert f"torch       {torch.__version__}" in outcome.out
    assert "    dim: 8" in outcome.out
    assert sorted(Path().rglob("*")) == before


def test_a_checkpoint_of_other_noise_says_so(trained):
    old = replace(Checkpoint.load(trained), randomness=1)
    noise = "noise of version 1 (a seed draws other noise now)"
    assert f"randomness  {noise}" in checkpoint_lines(old)
    assert old.step_text == f"step 4, {noise}"
    assert Checkpoint.load(trained).step_text == "step 4"


@pytest.mark.parametrize("length", ["minutes", "epochs"])
def test_a_run_by_time_shows_its_steps_and_what_has_set_them(trained, length):
    checkpoint = Checkpoint.load(trained)
    checkpoint.config.trainer.update({"steps": 800, length: 2, "log_every": 400})
    lines = list(checkpoint_lines(checkpoint))
    assert f"length      4 steps (set by trainer.{length}=2)" in lines
    trainer = OmegaConf.create("\n".join(lines[lines.index("recipe") + 1 : -3])).trainer
    every = 2 if length == "minutes" else 400  # minutes shorten what the user says
    assert (trainer.steps, trainer[length], trainer.log_every) == (4, None, every)


UNUSUAL = [
    *TINY,
    *(
        "trainer.steps=0",
        "model=convnext",
        "model.predicts=v",
        "schedule=sigmoid",
        "schedule.width=4.5",
        "loss=huber",
        "sampler=ancestral",
    ),
    *(
        "trainer=dp",
        "trainer.grad_clip=null",
        "trainer.ema=1e-5",
        "data=hub",
        "data.label_column=null",
        "data.size=[8,16]",
        "data.channels=1",
    ),
    *(
        "trainer.optimizer._target_=torch.optim.RMSprop",
        "~trainer.optimizer.betas",
        "~trainer.optimizer.fused",
        "+trainer.optimizer.alpha=0.5",
        "hydra.run.dir=run",
    ),
]
NAME = 'it\'s $5 "off", a=b.parquet'


def test_the_printed_command_composes_to_the_recipe_in_the_checkpoint(command, composed):
    digits = Path(data.sources.__file__).with_name("digits.parquet")
    Path(NAME).write_bytes(digits.read_bytes())
    trained = command("train", *UNUSUAL, "data.name=" + config.quote(NAME))
    assert trained.code == 0, trained.err
    said = printed_command(command("info", "ckpt=run/checkpoints/last.safetensors").out)
    recipe = Checkpoint.load(Path("run/checkpoints/last.safetensors")).config
    assert {
        "model=convnext",
        "schedule=sigmoid",
        "data=hub",
        "loss=huber",
        "trainer=dp",
        "sampler=ancestral",
    } <= set(said)
    assert recipe.data.name == NAME
    recipe.auto = True  # in place of the options that were chosen
    assert composed("train", *said) == recipe


def test_the_command_of_a_resumed_run_trains_it_from_the_start(command, trained):
    command("train", *TINY, "trainer.steps=6", "hydra.run.dir=trained", "resume=auto")
    said = printed_command(command("info", f"ckpt={trained}").out)
    assert said == [*TINY[:-1], "trainer.steps=6", TINY[-1]]  # the sampler is read last


def test_an_option_that_came_after_the_checkpoint_keeps_its_default(command, trained):
    change(trained, overrides=None)
    change_config(trained, lambda config: config.trainer.pop("workers"))
    outcome = command("info", f"ckpt={trained}")
    assert "workers" not in " ".join(printed_command(outcome.out))


def test_no_control_character_reaches_the_screen(command, trained):
    environment, fingerprint = {"torch\r": "1\x07"}, "print\x1b[2J"
    sly = {"environment": environment, "fingerprint": fingerprint}
    change(trained, classes=["a\x1b[31m", "b\nc"], **sly)
    outcome = command("info", f"ckpt={trained}")
    assert outcome.code == 0, outcome.err
    assert "classes     a\\x1b[31m, b\\nc" in outcome.out
    assert outcome.out.replace("\n", "").isprintable()


@pytest.mark.parametrize("key", ["'a b': 1", "'a=b': 1", "model: {'x;y': 1}"])
def test_a_recipe_that_no_command_line_can_say_has_no_command(command, trained, key):
    change(trained, config=OmegaConf.create(key), overrides=None)
    outcome = command("info", f"ckpt={trained}")
    assert (
        outcome.code,
        outcome.out.splitlines()[-1].endswith("cannot be said on a command line)"),
    ) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["ckpt=none.pt"], "there is no checkpoint at 'none.pt'"),
        (["seed=1"], "seed is not an option; there are ckpt"),
        (
            [],
            "ckpt must be given: checkpoint of ddpm-train, such as "
            "outputs/.../checkpoints/last.safetensors; or hf://OWNER/NAME[@REVISION]",
        ),
    ],
)
def test_mistakes_are_told_in_one_line(command, arguments, told):
    outcome = command("info", *arguments)
    assert (outcome.code, outcome.out, outcome.err) == (1, "", f"error: {told}\n")
    assert not list(Path().iterdir())


VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cc", "Cs"]))
)


@given(VALUES | st.lists(VALUES, max_size=3))
def test_a_value_is_read_as_it_was_worded(value):
    (override,) = OverridesParser.create().parse_overrides([f"x={overrides.override_value(value)}"])
    assert override.value() == value
