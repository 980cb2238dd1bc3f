"""Configurations composed by Hydra, whose state belongs to the process: a thread at a time uses it.

A user's own Hydra in the same process stays as it is.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from threading import RLock
from typing import Any

from hydra import compose, initialize_config_dir, version
from hydra._internal.hydra import Hydra
from hydra._internal.sources_registry import SourcesRegistry
from hydra._internal.utils import create_config_search_path
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from omegaconf import DictConfig, open_dict

from ddpm_cli.config.build import CONFIG_DIR

HYDRA_LOCK = RLock()
PLUGINS = (ConfigStore, Plugins, SourcesRegistry)  # what a process finds out once


@contextmanager
def own_hydra(name: str, config_dir: Path | None = None) -> Iterator[None]:
    """Let Hydra compose from our YAML files, and from those in `config_dir`, as the command `name`.

    What Hydra was before, as in a user's own application, returns at the end.
    """
    with HYDRA_LOCK:
        before = begin_hydra(name, config_dir)
    try:
        yield
    finally:
        with HYDRA_LOCK:
            Singleton._instances = before


def compose_options(
    name: str, overrides: list[str], config_dir: Path | None = None
) -> tuple[DictConfig, DictConfig]:
    """The configuration of the command `name`, and Hydra's own. Raises Hydra's errors."""
    with HYDRA_LOCK:
        before = begin_hydra(name, config_dir)
        try:
            whole = compose(name, overrides, return_hydra_config=True)
        finally:
            Singleton._instances = before
    cfg = deepcopy(whole)
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg, whole.hydra


@contextmanager
def composing() -> Iterator[None]:
    """Initialize Hydra with the YAML files if no command has done so, as in a launched process."""
    with HYDRA_LOCK:
        if GlobalHydra.instance().is_initialized():
            yield
            return
        with initialize_config_dir(str(CONFIG_DIR), version_base="1.3"):
            yield


def compose_present(name: str, overrides: Sequence[str]) -> DictConfig:
    """The configuration of the command `name` from the YAML files of Hydra's present state."""
    with HYDRA_LOCK:
        return compose(name, list(overrides))


def choices(group: str) -> list[str]:
    """The names of a group's YAML files: ours and those in the user's folder."""
    with HYDRA_LOCK:
        return config_loader().get_group_options(group)


def yaml_sources() -> tuple[str, ...]:
    """The addresses of the YAML files that Hydra composes from."""
    with HYDRA_LOCK:
        return tuple(source.path for source in config_loader().get_sources())


def own_config_dir() -> str | None:
    """The user's own folder of YAML files, if Hydra composes from one."""
    with HYDRA_LOCK:
        sources = config_loader().get_sources() if GlobalHydra.instance().hydra else ()
    own = [each.path for each in sources if each.provider == "command-line"]
    return str(Path(own[0].removeprefix("file://")).absolute()) if own else None


def config_loader() -> ConfigLoader:
    """The loader of Hydra's present state, which a command has begun."""
    hydra = GlobalHydra.instance().hydra
    assert hydra is not None
    return hydra.config_loader


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
