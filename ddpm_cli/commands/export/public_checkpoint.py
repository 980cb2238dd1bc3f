"""A checkpoint as others may see it: one set of weights, no path of its machine, no service."""

import re
from dataclasses import replace
from typing import Any, Literal

from omegaconf import OmegaConf

from ddpm_cli.checkpoints import WEIGHTS, Checkpoint, tensors_by_name
from ddpm_cli.files import user_path
from ddpm_cli.hub.address import is_repository

NOT_PUBLISHED = ("logger", "resume", "trust", "trainer.loggers")  # of the user, not of the model
SEPARATOR = re.compile(r"[/\\]+")


def public_checkpoint(checkpoint: Checkpoint, weights: Literal["ema", "raw"] = "ema") -> Checkpoint:
    """The checkpoint with one set of weights, as its EMA, and with every path cut to a name.

    The overrides as typed, the folder of YAML files and the loggers stay behind: they are of this
    machine and its user.
    Raises ValueError if there are no such weights.
    """
    ema = tensors_by_name({"ema": checkpoint.part(WEIGHTS[weights])})
    if not ema:
        name = {"ema": "EMA", "raw": "raw weights"}[weights]
        what = f"the checkpoint {str(checkpoint.path)!r} holds no {name}"
        raise ValueError(f"{what}, which weights={weights} exports")
    config = OmegaConf.create(public_options(OmegaConf.to_container(checkpoint.config)))
    nothing: dict[str, Any] = {"optimizer": {}, "scaler": {}, "stream": []}
    of_this_machine: dict[str, Any] = {"overrides": None, "config_dir": None}
    return replace(checkpoint, config=config, tensors=ema, **nothing, **of_this_machine)


def public_options(options: Any, prefix: str = "") -> Any:
    """Options without those that are not published, and without paths."""
    return {
        name: public_options(each, "trainer.")
        if name == "trainer" and isinstance(each, dict)
        else without_paths(each, str(name))
        for name, each in options.items()
        if f"{prefix}{name}" not in NOT_PUBLISHED
    }


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
