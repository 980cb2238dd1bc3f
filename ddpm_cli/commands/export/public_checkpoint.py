"""A checkpoint as others may see it: the EMA alone, no path of its machine and no service."""

from dataclasses import replace
from typing import Any

from omegaconf import OmegaConf

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.hub.public_values import without_paths

NOT_PUBLISHED = ("logger", "resume", "trust", "trainer.loggers")  # of the user, not of the model


def public_checkpoint(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint with its EMA alone, and with every path in its configuration cut to a name.

    The overrides as typed, the folder of YAML files and the loggers stay behind: they are of this
    machine and its user.
    Raises ValueError if there is no EMA.
    """
    ema = {name: each for name, each in checkpoint.tensors.items() if name.startswith("ema.")}
    if not ema:
        raise ValueError(f"the checkpoint {str(checkpoint.path)!r} holds no EMA, which is exported")
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
