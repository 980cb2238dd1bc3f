"""Compositions in a process whose threads share the state of Hydra."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

import ddpm_cli
from ddpm_cli.config import composition
from ddpm_cli.config.composition import choices, compose_options, own_hydra
from ddpm_cli.config.overrides import compose_train

PACKAGE = Path(ddpm_cli.__file__).parent
STATE = ("hydra import compose", "global_hydra", "core.singleton", "initialize_config")


@pytest.fixture
def own_yaml(tmp_path):
    """A folder of a user's own YAML files, with a network."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model/mine.yaml").write_text("defaults: [resnet, _self_]\n")
    return tmp_path


@pytest.mark.parametrize(
    "ask",
    [lambda: "mine" in choices("model"), lambda: compose_train(["model=mine"])["model"]],
    ids=["choices", "compose_train"],
)
def test_a_composition_in_a_thread_leaves_the_others_their_yaml_files(monkeypatch, own_yaml, ask):
    composing = Event()

    def slow(*args, compose=composition.compose, **options):
        composing.set()
        Event().wait(0.1)
        return compose(*args, **options)

    with own_hydra("train", own_yaml), ThreadPoolExecutor(1) as thread:
        monkeypatch.setattr(composition, "compose", slow)
        sampling = thread.submit(compose_options, "sample", [])
        composing.wait()
        assert ask()
        assert sampling.result()[0].n


def test_no_other_file_uses_the_state_of_hydra():
    texts = {path: path.read_text() for path in PACKAGE.rglob("*.py")}
    users = [path.name for path, text in texts.items() if any(each in text for each in STATE)]
    assert users == ["composition.py"]
