"""A checkpoint as others may see it: the EMA alone, and no path of the machine it comes from."""

import re
from dataclasses import replace
from typing import Any

from omegaconf import OmegaConf

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.files import user_path
from ddpm_cli.hub.address import is_repository

SEPARATOR = re.compile(r"[/\\]+")


def public_checkpoint(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with its EMA alone, and with every path in its configuration cut to a name.

    The overrides as typed and the folder of YAML files stay behind: they are of this machine.
    Raises ValueError if there is no EMA.
    """
    ema = {name: each for name, each in checkpoint.tensors.items() if name.startswith("ema.")}
    if not ema:
        raise ValueError(f"the checkpoint {str(checkpoint.path)!r} holds no EMA, which is exported")
    config = OmegaConf.create(without_paths(OmegaConf.to_container(checkpoint.config)))
    nothing: dict[str, Any] = {"optimizer": {}, "scaler": {}, "stream": []}
    of_this_machine: dict[str, Any] = {"overrides": None, "config_dir": None}
    return replace(checkpoint, config=config, tensors=ema, **nothing, **of_this_machine)


def without_paths(value: Any, name: str = "") -> Any:
    """A value of a configuration, in which each path is cut to its last name.

    name: the option of the value. A data set's OWNER/NAME on the hub is no path.
    """
    if isinstance(value, dict):
        return {key: without_paths(each, str(key)) for key, each in value.items()}
    if isinstance(value, list):
        return [without_paths(each, name) for each in value]
    if not isinstance(value, str) or not SEPARATOR.search(value):
        return value
    if name == "name" and is_repository(value) and not user_path(value).exists():
        return value
    return SEPARATOR.split(value.partition("?")[0].rstrip("/\\"))[-1]
