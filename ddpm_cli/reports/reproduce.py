"""The command that trains a checkpoint's run again."""

import shlex
from typing import Any

from omegaconf import OmegaConf

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.config.overrides import NOT_THE_RECIPE, overrides_for
from ddpm_cli.pacing import shorten_cadences


def train_command(checkpoint: Checkpoint) -> str:
    """The command that trains it again to its end."""
    wanted: Any = OmegaConf.to_container(checkpoint.config, resolve=True)
    try:
        if isinstance(wanted.get("trainer"), dict):
            wanted["trainer"] = length_in_steps(wanted["trainer"], checkpoint.steps)
        return shlex.join(["ddpm-train", *overrides_for({**wanted, **NOT_THE_RECIPE})])
    except (ValueError, LookupError, TypeError, ArithmeticError) as error:
        return f"(none: {error})"


def length_in_steps(trainer: dict[str, Any], steps: int) -> dict[str, Any]:
    """The trainer's options with a length that was set by minutes or epochs said in steps, and what follows from it."""
    paced = shorten_cadences(trainer, steps) if trainer.get("minutes") is not None else {}
    absent: dict[str, Any] = {
        name: None for name in ("minutes", "epochs", "stop_at") if name in trainer
    }
    return {**trainer, **paced, **absent, "steps": steps}
