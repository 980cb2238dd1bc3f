"""The pages of help: every command in its own words, from the YAML files."""

import re

import pytest

from ddpm_cli.cli.help_pages import help_page
from ddpm_cli.cli.main import COMMANDS, CONFIGS, main
from ddpm_cli.config.build import CONFIG_DIR
from ddpm_cli.config.yaml_options import command_groups, command_options


def page(name, *arguments):
    return help_page(name, CONFIGS.get(name, name), COMMANDS[name].partition(":")[0], arguments)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_page_has_words_usage_examples_options_flags_and_the_manual(name):
    text, config = page(name), CONFIGS.get(name, name)
    assert text.startswith(f"ddpm-{name}: ")
    parts = ["Usage\n  ddpm-", "\nExample", "\nOptions (OPTION=VALUE)", "\nFlags\n", "\nManual: "]
    assert [text.index(part) for part in parts] == sorted(text.index(part) for part in parts)
    assert text.endswith("README.md") and "/ddpm_cli/commands/" in text.splitlines()[-1]
    assert "_target_:" not in text and "???\n" not in text
    options = command_options(config, command_groups(config))
    shown = re.findall(r"^  ([\w.]+)=", text, re.MULTILINE)
    assert {*options} <= {*shown}


def test_the_options_of_a_choice_are_shown_with_comments_that_it_inherits():
    text = page("train", "--help", "data=folder", "model=convnext")
    assert re.search(r"^  data\.path=\?\?\? +folder of the images$", text, re.MULTILINE)
    assert re.search(r"^  model\.network\.block=convnext +blocks of the UNet", text, re.MULTILINE)
    assert "model.network.dim_mults=auto" in text
    assert "data=folder: Your own images" in text


def test_groups_list_the_choices_of_the_users_folder_too(tmp_path):
    (tmp_path / "schedule").mkdir()
    (tmp_path / "schedule/mine.yaml").write_text("# My schedule\nsteps: 7 # number of steps\n")
    for flags in (["--config-dir", str(tmp_path)], [f"--config-dir={tmp_path}"]):
        text = page("train", *flags, "schedule=mine")
        assert re.search(r"^  schedule +cosine, linear, listed, mine", text, re.MULTILINE)
        assert "schedule=mine: My schedule\n  schedule.steps=7  " in text


@pytest.mark.parametrize("columns", [20, 80, 500])
def test_comments_are_wrapped_to_the_terminal(monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    options = page("eval").partition("\nOptions")[2]
    widest = max(map(len, options.partition("\nManual")[0].splitlines()))
    assert widest <= min(max(columns, 60), 120)


def test_help_and_version_come_before_anything_else(command):
    outcome = command("sample", "ckpt=nowhere", "--help", "--bogus")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith("ddpm-sample: draw images from a checkpoint")
    outcome = command("train", "--version")
    assert re.fullmatch(r"ddpm-cli \S+, torch \S+\n", outcome.out)


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_the_package_lists_its_commands(monkeypatch, capfd, arguments):
    monkeypatch.setattr("sys.argv", ["ddpm_cli", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    out = capfd.readouterr().out
    assert not end.value.code
    rows = re.findall(r"^  (\w+) +\w+", out.partition("Commands\n")[2], re.MULTILINE)
    assert rows == list(COMMANDS)
    assert "  sample    draw images from a checkpoint, which holds the recipe of its model\n" in out


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("trian", "trian is not a command; did you mean train?"),
        ("samples", "samples is not a command; did you mean sample?"),
        ("evaluate", "evaluate is not a command; did you mean eval?"),
        ("ddpm-train", "ddpm-train is not a command; did you mean train?"),
        ("fly", "fly is not a command; there are train, doctor, sample, compare, tune, info, eval, "
                "plot, data, import, export, report, ema, sweep"),
    ],
)  # fmt: skip
def test_a_command_that_is_not_there_is_told_with_the_nearest(monkeypatch, name, told):
    monkeypatch.setattr("sys.argv", ["ddpm_cli", name])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == f"error: {told}"


def test_every_option_in_the_yaml_files_of_commands_has_a_comment():
    assert {
        (path.stem, name)
        for path in CONFIG_DIR.glob("*.yaml")
        for name, option in command_options(path.stem, {}).items()
        if not option.comment
    } == set()
