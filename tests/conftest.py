"""Fixtures; and the import hook that executes every array type of the package."""

import os
from tempfile import TemporaryDirectory

import checker

checker.install()
# Tests start several commands at once, whose threads would wait for one another's cores.
os.environ["OMP_NUM_THREADS"] = "1"

CACHE = TemporaryDirectory(prefix="ddpm-cli-tests-", ignore_cleanup_errors=True)
os.environ["XDG_CACHE_HOME"] = CACHE.name

import gc
import logging
import pickle
import shutil
import sys
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.core_plugins.importlib_resources_config_source import (
    ImportlibResourcesConfigSource,
)
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from ddpm_cli import cli
from ddpm_cli.config.auto import fill_fixed
from ddpm_cli.config.build import CONFIG_DIR
from ddpm_cli.hardware import count_flops

torch.set_num_threads(1)
# Each full collection visits the half million objects that imports have made.
gc.set_threshold(50_000, 20, 50)

TINY = [
    "model.network.dim=8",
    "model.network.dim_mults=[1,2]",
    "trainer.batch_size=16",
    "trainer.warmup=0",
    "sampler.steps=3",
]
"""Overrides of a training run that take a fraction of a second."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str


@pytest.fixture
def cards(monkeypatch) -> None:
    """End runs without their report.html, which takes a fifth of a tiny run.

    Tests of the page put an empty fixture of this name in place.
    """
    monkeypatch.setattr("ddpm_cli.commands.train.finish.write_report", lambda run: None)


COUNTED: dict[tuple[object, ...], int | None] = {}


@pytest.fixture
def brief(monkeypatch) -> None:
    """Count the FLOPs of a network once for all runs, and evaluate 8 images in place of 32.

    Both take a fifth of a tiny run.
    """

    def once(network, shape):
        key = (repr(network), *shape)
        if key not in COUNTED:
            COUNTED[key] = count_flops(network, shape)
        return COUNTED[key]

    monkeypatch.setattr("ddpm_cli.commands.train.setup.count_flops", once)
    monkeypatch.setattr("ddpm_cli.training.fixed_noise_losses.IMAGES", 8)


def parsed_in_c(load):
    """How Hydra reads a file, with YAML's parser in C."""

    def loaded(source, path):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(yaml, "SafeLoader", yaml.CSafeLoader)
            return load(source, path)

    return loaded


LOADED: dict[tuple[str, ...], bytes] = {}
PROVIDERS = {"hydra", "main", "schema"}  # of all files but a user's own


def loaded_once(load):
    """How Hydra loads a file, which it reads once for all tests if nobody can have changed it.

    Hydra writes into what it loads; a pickle is read five times as fast as `deepcopy` copies.
    """

    def loaded(repository, config_path):
        sources = repository.get_sources()
        key = (*(each.path for each in sources), config_path)
        if key in LOADED:
            return pickle.loads(LOADED[key])
        result = load(repository, config_path)
        is_ours = {each.provider for each in sources} <= PROVIDERS
        if is_ours and result is not None and result.path.startswith(("file:", "pkg:")):
            LOADED[key] = pickle.dumps(result)
        return result

    return loaded


@pytest.fixture(scope="session", autouse=True)
def composing() -> Iterator[None]:
    """Let Hydra parse its files in C, once, and compose for its mode only where one is named.

    These take most of the time of a refusal.
    """
    mode = Hydra.get_mode

    def named(hydra, config_name, overrides):
        return (
            mode(hydra, config_name, overrides)
            if any("hydra.mode" in each for each in overrides)
            else None
        )

    with pytest.MonkeyPatch.context() as patch:
        for source in (FileConfigSource, ImportlibResourcesConfigSource):
            patch.setattr(source, "load_config", parsed_in_c(source.load_config))
        load = ConfigRepository.load_config
        patch.setattr(ConfigRepository, "load_config", loaded_once(load))
        # A composition replaces the list of sources in its copy, and changes none of them.
        patch.setattr(ConfigRepository, "__deepcopy__", lambda self, _: copy(self), raising=False)
        patch.setattr(Hydra, "get_mode", named)
        yield


@pytest.fixture
def command(tmp_path, monkeypatch, capfd, cards, brief) -> Iterator[Callable[..., Outcome]]:
    """Runs a command in this process, in a temporary folder.

    A module of the test's own is forgotten afterwards: another test may have one of its name.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])

    def run(name: str, *arguments: str) -> Outcome:
        monkeypatch.setattr("sys.argv", [f"ddpm-{name}", *arguments])
        monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
        capfd.readouterr()
        GlobalHydra.instance().clear()
        try:
            getattr(cli, name)()
            code = 0
        except SystemExit as end:
            if isinstance(end.code, str):
                print(end.code, file=sys.stderr)
            code = end.code if isinstance(end.code, int) else 1
        finally:
            for handler in logging.getLogger().handlers[:]:
                logging.getLogger().removeHandler(handler)
                handler.close()
        return Outcome(code, *capfd.readouterr())

    before = {*sys.modules}
    yield run
    for name in {*sys.modules} - before:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(f"{tmp_path}{os.sep}"):
            del sys.modules[name]


COMPOSED: dict[tuple[str, tuple[str, ...]], bytes] = {}


@pytest.fixture
def composed() -> Callable[..., DictConfig]:
    """Composes a configuration with nothing to choose: composed("train", "model=convnext")."""

    def from_files(name: str, *overrides: str) -> DictConfig:
        if (name, overrides) not in COMPOSED:
            GlobalHydra.instance().clear()
            with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
                cfg = compose(name, list(overrides))
            fill_fixed(cfg)
            if "logger" in cfg:  # as in a checkpoint, which holds those that are named
                cfg.logger = {each: cfg.logger[each] for each in cfg.trainer.loggers}
            COMPOSED[name, overrides] = pickle.dumps(cfg)
        return pickle.loads(COMPOSED[name, overrides])

    return from_files


@pytest.fixture(scope="session")
def runs(tmp_path_factory) -> Path:
    """Where tiny runs are kept, that each be trained once."""
    return tmp_path_factory.mktemp("runs")


@pytest.fixture
def trained(command, runs) -> Path:
    """The last checkpoint of a tiny run of four steps."""
    return once(command, runs, "trained")


@pytest.fixture
def conditional(command, runs) -> Path:
    """The last checkpoint of a tiny run of four steps on labels."""
    return once(command, runs, "classes", "model.conditional=true")


def once(command, runs, name, *options) -> Path:
    """A tiny run in the test's folder, trained by the first test that asks for it."""
    if not (runs / name).exists():
        outcome = command("train", *TINY, "trainer.steps=4", *options, f"hydra.run.dir={name}")
        assert outcome.code == 0, outcome.err
        shutil.copytree(name, runs / name)
    else:
        shutil.copytree(runs / name, name)
    return Path(name, "checkpoints/last.safetensors").resolve()
