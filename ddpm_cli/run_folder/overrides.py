"""The overrides that a run was started with, and the command that goes on with the run."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf

from ddpm_cli.config.invocation import Invocation
from ddpm_cli.config.plain_text import bounded_text, plain_yaml
from ddpm_cli.config.typed_length import LENGTHS
from ddpm_cli.run_folder.facts import read_facts
from ddpm_cli.run_folder.layout import HYDRA


def typed_overrides(folder: Path) -> list[str]:
    """Read the overrides as typed, the last of equal overrides; return [] if the file is bad."""
    path = folder / HYDRA / "overrides.yaml"
    try:
        content = OmegaConf.to_container(plain_yaml(bounded_text(path)))
    except ValueError:
        return []
    texts = [each for each in content if isinstance(each, str)] if isinstance(content, list) else []
    return [*reversed(dict.fromkeys(reversed(texts)))]


def command_to_go_on(folder: Path, given: Sequence[str] = ()) -> str:
    """The command that goes on with the run in a folder as it was typed.

    '' without overrides, or if `given` says the same, but for lengths and folders.
    """
    config_dir = read_facts(folder).get("config_dir")
    own = config_dir if isinstance(config_dir, str) else None
    typed = typed_overrides(folder)
    if not typed or recipe_values(typed) == recipe_values(given):
        return ""
    return Invocation(folder, overrides=typed, config_dir=own).resume_command()


def recipe_values(overrides: Sequence[str]) -> dict[str, str]:
    """The last value of each option that overrides name, but for lengths and folders."""
    values = dict(each.split("=", 1) for each in overrides if "=" in each)
    besides = {*LENGTHS, "resume", "hydra.run.dir", "trainer.stop_at"}
    return {name: value for name, value in values.items() if name not in besides}


def unnamed_images_text(overrides: Sequence[str]) -> str:
    """The reason why a command must name a run's images, with the overrides that name them."""
    named = shlex.join(each for each in overrides if each.startswith("data"))
    needed = "data=... must name the images: a checkpoint may name only the packaged digits"
    return f"{needed}; its run was given {named}" if named else needed
