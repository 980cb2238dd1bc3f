"""The commands that train a checkpoint's run again, resume the run, and sample from it."""

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.config.build import foreign_modules
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.config.overrides import NOT_THE_RECIPE, composing, overrides_for, own_config_dir
from ddpm_cli.pacing import shorten_cadences
from ddpm_cli.run_folder.facts import read_facts
from ddpm_cli.run_folder.overrides import typed_overrides


def train_command(checkpoint: Checkpoint) -> str:
    """The command that trains a checkpoint's run again from the first step to the last."""
    recipe: Any = OmegaConf.to_container(checkpoint.config, resolve=True)
    try:
        if isinstance(recipe.get("trainer"), dict):
            recipe["trainer"] = length_in_steps(recipe["trainer"], checkpoint.steps)
        overrides = overrides_for({**recipe, **NOT_THE_RECIPE})
        config_dir, trust = own_config_dir(), foreign_modules(recipe)
        return Invocation(Path(), config_dir=config_dir, trust=trust).train_again_command(overrides)
    except (ValueError, LookupError, TypeError, ArithmeticError) as error:
        return f"(none: {error})"


def length_in_steps(trainer: dict[str, Any], steps: int) -> dict[str, Any]:
    """The trainer's options with the length in steps, in place of minutes or epochs."""
    paced = shorten_cadences(trainer, steps) if trainer.get("minutes") is not None else {}
    absent: dict[str, Any] = {
        name: None for name in ("minutes", "epochs", "stop_at") if name in trainer
    }
    return {**trainer, **paced, **absent, "steps": steps}


def run_commands(folder: Path, checkpoint: Checkpoint, last: Path) -> dict[str, str]:
    """The commands that follow from a run, by their purpose. last: the run's last checkpoint."""
    config_dir = read_facts(folder).get("config_dir")
    invocation = Invocation(
        folder,
        overrides=typed_overrides(folder),
        config_dir=config_dir if isinstance(config_dir, str) else None,
        trust=foreign_modules(OmegaConf.to_container(checkpoint.config)),
    )
    with composing():
        again = train_command(checkpoint)
    return {
        "Train it again": again,
        "Go on where it ended": invocation.resume_command(),
        "Sample from it": invocation.sample_command(last),
    }
