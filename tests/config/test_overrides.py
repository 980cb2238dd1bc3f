"""Overrides that are printed: quoted only where they must be, in the order of reading."""

import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from ddpm_cli.config.composition import compose_present, composing
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.config.overrides import in_reading_order, override_value, overrides_for
from ddpm_cli.config.values import path_override, quote, text_value

PLAIN = [
    "/tmp/photos",
    "my photos",
    "a-b_c.d",
    "C:/x",
    "1.png",
    "20240101-run",
    "..",
    "./1",
    "a+b@2%",
]
QUOTED = [
    *("", " ", " a", "a ", "a,b", "a=b", "a:,", "it's", 'an "off"', "(a", "[b]", "{c}", "~/photos"),
    *("été", "a\\", "a\\'", "$5", "null", "True", "nan", "-inf", "12", "1e5", "1_0", ".5", "*.png"),
]


def parsed(override):
    (found,) = OverridesParser.create().parse_overrides([override])
    return found.value()


@pytest.mark.parametrize("text", PLAIN)
def test_a_text_that_hydra_reads_as_it_is_has_no_quotes(text):
    assert text_value(text) == text == parsed(f"x={text}")
    assert parsed(f"x=[{text}]") == [text]


@pytest.mark.parametrize("text", QUOTED)
def test_a_text_that_hydra_would_misread_is_quoted(text):
    assert text_value(text) == quote(text)
    assert parsed(f"x={text_value(text)}") == text


@pytest.mark.parametrize("text", [*PLAIN, *QUOTED[4:]])
def test_a_printed_command_runs_as_it_is_printed(text):
    command = Invocation(Path()).train_command([path_override("data.path", Path(text))])
    assert parsed(shlex.split(command)[1]) == str(Path(text))


def test_quotes_in_a_shell_are_of_two_kinds():
    printed = [Invocation(Path()).train_command([f"data.path={text_value(each)}"]) for each in "é/"]
    assert printed == ["ddpm-train 'data.path=\"é\"'", "ddpm-train data.path=/"]


def test_names_in_a_mapping_are_read_as_they_were():
    mapping = {"a": [1, "b c"], "a:b, {c}": {"d=e": "1"}, "my name": None}
    assert parsed(f"x={override_value(mapping)}") == mapping


def test_the_data_are_read_before_the_model_the_loss_and_the_trainer():
    typed = ["seed=1", "trainer.steps=2", "+loss.of.x=1", "loss@loss.of=huber", "loss=uncertain"]
    typed += ["model.network.dim=8", "data.path=a", "data=folder", "trust=[m]", "data.path=b"]
    assert in_reading_order(typed) == [
        *("data=folder", "data.path=a", "data.path=b", "model.network.dim=8"),
        *("loss@loss.of=huber", "loss=uncertain", "+loss.of.x=1", "trainer.steps=2"),
        *("seed=1", "trust=[m]"),
    ]


def test_the_first_weights_are_left_out_with_their_kind():
    typed = ["init=mine/last.safetensors", "init_weights=raw", "seed=3"]
    assert Invocation(Path(), overrides=typed).without_init() == ["seed=3"]


def test_a_group_that_another_choice_changes_is_chosen_too():
    typed = ["model=iddpm", "schedule=linear", "loss=l2", "model.variance=small"]
    with composing():
        wanted = OmegaConf.to_container(compose_present("train", typed), resolve=True)
        overrides = overrides_for(wanted)
        assert OmegaConf.to_container(compose_present("train", overrides))["loss"] == wanted["loss"]
    assert overrides[:4] == typed
