"""First mistakes on a command line, each with the line that says what was meant."""

import shutil
from pathlib import Path

import pytest
from hydra._internal.utils import get_args_parser

from ddpm_cli.cli.arguments import FLAGS, FLAGS_WITH_VALUE, parse_arguments
from ddpm_cli.cli.checkpoint_options.recipe import with_recipe
from ddpm_cli.commands.train.resume import find_checkpoint


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder of images, an archive and the folder of a run in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name in (
        "photos/1.png",
        "my photos/1.png",
        "photos.zip",
        "run/checkpoints/last.safetensors",
    ):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"1")


def refusal(config, *arguments):
    with pytest.raises(ValueError, match=r"; |^arguments are") as caught:
        parse_arguments(config, arguments)
    return str(caught.value)


@pytest.mark.parametrize(
    ("config", "arguments", "meant"),
    [
        ("sample", ["--ckpt", "run"], "ckpt=run"),
        ("sample", ["--ckpt=run"], "ckpt=run"),
        ("sample", ["-n", "16"], "n=16"),
        ("sample", ["--png", "seed=1"], "png=true"),
        ("sample", ["--num-samples", "16"], "n=16"),
        ("train", ["--batch-size=8"], "trainer.batch_size=8"),
        ("train", ["--data.size", "32"], "data.size=32"),
        ("train", ["--learning-rate", "1e-4"], "trainer.optimizer.lr=1e-4"),
        ("train", ["--experiment=small_data"], "+experiment=small_data"),
        ("train", ["--steps", "9"], "trainer.steps=9, schedule.steps=9 or sampler.steps=9"),
        ("train", ["--path", "photos"], "data=folder data.path=photos"),
    ],
)
def test_an_option_with_dashes_is_told_without(photos, config, arguments, meant):
    flag = arguments[0].partition("=")[0]
    told = f"{flag} is not a flag, and options have no dashes; did you mean {meant}?"
    assert refusal(config, *arguments) == told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--bogus"], "--bogus is not a flag; --help lists the flags and the options"),
        (["--multi-run"], "--multi-run is not a flag; did you mean --multirun?"),
        (["seed", "3"], "arguments are OPTION=VALUE, but one is 'seed'; did you mean seed=3?"),
        (["resume", "run"], "arguments are OPTION=VALUE, but one is 'resume'; did you mean "
                            "resume=run?"),
        (["seed", "=", "3"], "OPTION=VALUE has no blanks; did you mean seed=3?"),
        (["seed=", "3", "data= digits"], "OPTION=VALUE has no blanks; did you mean seed=3?"),
        (["help"], "arguments are OPTION=VALUE, but one is 'help'; did you mean --help?"),
        (["photos"], "arguments are OPTION=VALUE, but one is 'photos'; did you mean data=folder "
                     "data.path=photos?"),
        (["photos.zip"], "arguments are OPTION=VALUE, but one is 'photos.zip'; did you mean "
                         "data=archive data.path=photos.zip?"),
        (["run"], "arguments are OPTION=VALUE, but one is 'run'; did you mean resume=run?"),
        (["fly"], "arguments are OPTION=VALUE, but one is 'fly', and there is no file or folder "
                  "'fly'"),
        (["photo"], "arguments are OPTION=VALUE, but one is 'photo', and there is no file or "
                    "folder 'photo'; did you mean 'photos'?"),
        (["data=folder", "data.path=my", "photos"], "arguments are OPTION=VALUE, but one is "
         "'photos'; a value with blanks is quoted: 'data.path=my photos'"),
    ],
)  # fmt: skip
def test_what_is_no_override_is_told(photos, arguments, told):
    assert refusal("train", *arguments) == told


@pytest.mark.parametrize(
    ("config", "arguments", "told"),
    [
        ("sample", ["run", "run"], "'run'; did you mean ckpt=run?"),
        ("sample", ["ckpt=run", "photos"], "'photos'; did you mean ckpt=photos?"),
        ("sample", ["ckpt=run", "png"], "'png'; did you mean png=true?"),
        ("info", ["nowhere.pt"], "'nowhere.pt'; did you mean ckpt=nowhere.pt?"),
        ("plot", ["nowhere"], "'nowhere'; did you mean 'runs=[nowhere]'?"),
    ],
)
def test_words_that_are_not_the_one_path_are_told(photos, config, arguments, told):
    assert refusal(config, *arguments) == f"arguments are OPTION=VALUE, but one is {told}"


@pytest.mark.parametrize(
    ("config", "arguments", "parsed"),
    [
        ("sample", ["run", "n=4"], ["n=4", "ckpt=run"]),
        ("sample", ["hf://owner/name@v1"], ["ckpt=hf://owner/name@v1"]),
        ("report", ["run"], ["run=run"]),
        ("sample", ["outputs/no"], ["ckpt=outputs/no"]),
        ("sweep", ["run"], ["show=run"]),
        ("plot", ["run", "photos"], ["runs=[run,photos]"]),
        ("train", ["seed=1,2", "-m", "~data.size"], ["seed=1,2", "~data.size", "-m"]),
        ("train", ["-c", "job", "seed=1"], ["seed=1", "-c", "job"]),
        ("train", ["--config-dir", "mine", "seed=1"], ["seed=1", "--config-dir", "mine"]),
        ("train", ["--info", "config", "seed="], ["seed=", "--info", "config"]),
    ],
)
def test_a_path_alone_and_flags_anywhere_are_understood(photos, config, arguments, parsed):
    assert parse_arguments(config, arguments) == parsed


def test_a_suggested_path_is_quoted_for_hydra_and_for_the_shell(photos):
    Path("a,b").mkdir()
    assert refusal("train", "a,b").endswith("did you mean data=folder 'data.path=\"a,b\"'?")


def test_the_flags_are_those_of_hydra():
    flags = {each for action in get_args_parser()._actions for each in action.option_strings}
    assert flags == {*FLAGS, *FLAGS_WITH_VALUE}


def test_a_path_alone_and_a_folder_stand_for_the_last_checkpoint(command, trained):
    shutil.move("trained", "a run")
    outcome = command("info", "a run")
    assert outcome.code == 0, outcome.err
    assert "checkpoint a run stands for a run/checkpoints/last.safetensors" in outcome.out
    options = ["n=2", "sampler.steps=1", "guide=a run", "guidance=2"]
    outcome = command("sample", "ckpt=a run", *options, "hydra.run.dir=out")
    assert outcome.code == 0, outcome.err


def test_a_folder_is_resumed_and_gives_its_recipe(trained):
    assert find_checkpoint("trained", Path("new"), False).path.samefile(trained)
    assert "trainer.steps=4" in with_recipe(["recipe=trained", "seed=1"])
