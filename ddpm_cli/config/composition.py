"""Configurations composed in the process of a user, whose own Hydra stays as it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from threading import Lock
from typing import Any

from hydra import compose, version
from hydra._internal.hydra import Hydra
from hydra._internal.sources_registry import SourcesRegistry
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from omegaconf import DictConfig, open_dict

from ddpm_cli.config.build import CONFIG_DIR

SWAP = Lock()  # threads exchange Hydra's state one at a time
PLUGINS = (ConfigStore, Plugins, SourcesRegistry)  # what a process finds out once


@contextmanager
def own_hydra(name: str, config_dir: Path | None = None) -> Iterator[None]:
    """Let Hydra compose from our YAML files, and from those in `config_dir`, as the command `name`.

    What Hydra was before, as in a user's own application, returns at the end.
    """
    with SWAP:
        before = begin_hydra(name, config_dir)
    try:
        yield
    finally:
        with SWAP:
            Singleton._instances = before


def compose_options(
    name: str, overrides: list[str], config_dir: Path | None = None
) -> tuple[DictConfig, DictConfig]:
    """The configuration of the command `name`, and Hydra's own. Raises Hydra's errors."""
    with SWAP:
        before = begin_hydra(name, config_dir)
        try:
            whole = compose(name, overrides, return_hydra_config=True)
        finally:
            Singleton._instances = before
    cfg = deepcopy(whole)
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg, whole.hydra


def begin_hydra(name: str, config_dir: Path | None) -> dict[type, Any]:
    """Begin a state of Hydra for a command, and return the state before.

    Raises ValueError if `config_dir` is no folder.
    """
    if config_dir is not None and not config_dir.is_dir():
        raise ValueError(f"config_dir must be a folder of YAML files, but is {str(config_dir)!r}")
    search_path = create_config_search_path(str(CONFIG_DIR))
    if config_dir is not None:
        anchor = SearchPathQuery(provider="schema")
        search_path.prepend("command-line", f"file://{config_dir.absolute()}", anchor=anchor)
    before: dict[type, Any] = Singleton._instances
    Singleton._instances = {kind: before[kind] for kind in PLUGINS if kind in before}
    version.setbase("1.3")
    Hydra.create_main_hydra2(name, search_path)
    return before
