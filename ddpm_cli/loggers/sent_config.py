"""The configuration that loggers get: all options of a run, with paths cut to names."""

import re
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

NOT_SENT = ("logger", "resume", "trust")
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)  # OWNER/SET, of the option data.name


def sent_config(cfg: DictConfig) -> dict[str, Any]:
    """The options of a run as plain values, with paths cut to the names at their ends."""
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    return {
        str(name): cut_paths(value, str(name))
        for name, value in config.items()
        if name not in NOT_SENT
    }


def cut_paths(value: Any, option: str = "") -> Any:
    """A value whose texts show no folder; a name on the hub stays whole."""
    if isinstance(value, Mapping):
        return {str(name): cut_paths(each, str(name)) for name, each in value.items()}
    if isinstance(value, list):
        return [cut_paths(each, option) for each in value]
    if not isinstance(value, str) or (option == "name" and HUB_NAME.fullmatch(value)):
        return value
    return re.split(r"[\\/]", value.rstrip("\\/"))[-1]


def flat_options(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The options by their names with dots."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= flat_options(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
