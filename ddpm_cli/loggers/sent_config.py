"""The configuration that loggers get: all options of a run, with paths cut to names."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.hub.public_values import without_paths

NOT_SENT = ("logger", "resume", "trust")


def sent_config(cfg: DictConfig) -> dict[str, Any]:
    """The options of a run as plain values, with paths cut to the names at their ends."""
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    return {
        str(name): without_paths(value, str(name))
        for name, value in config.items()
        if name not in NOT_SENT
    }


def flat_options(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The options by their names with dots."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= flat_options(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
