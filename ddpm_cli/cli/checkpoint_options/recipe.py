"""`recipe=CKPT`: the overrides of a checkpoint's run, in place of this argument."""

import shlex
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from ddpm_cli.checkpoint_paths import existing_file
from ddpm_cli.config.typed_length import BEFORE_STEPS, has_typed_length
from ddpm_cli.files import user_path
from ddpm_cli.hub.address import is_address

FROM_THE_USER = ("trust", "--config-dir")  # which no file can give


def with_recipe(arguments: Sequence[str]) -> list[str]:
    """The arguments, with the overrides of a recipe before them; an argument wins over a recipe.

    Raises ValueError if the recipe needs modules or YAML files that the user has not named.
    """
    named = [each for each in arguments if each.startswith("recipe=")]
    if not named:
        return list(arguments)
    if len(named) > 1:
        raise ValueError(f"recipe must be one checkpoint, but {len(named)} are given")
    text = named[0].removeprefix("recipe=").strip("'\"")
    path = existing_file(fetched_path(text) if is_address(text) else user_path(text))
    checkpoint = import_module("ddpm_cli.checkpoints").Checkpoint.load(path, parts=())
    typed = import_module("ddpm_cli.reports.reproduce").recipe_overrides(checkpoint)
    if checkpoint.config_dir:
        typed = [f"--config-dir={checkpoint.config_dir}", *typed]
    rest = [each for each in arguments if each not in named]
    given = {"--config-dir" if each == "-cd" else option_of(each) for each in rest}
    typed = [each for each in typed if not given & {option_of(each), group_of(each)}]
    if has_typed_length(rest):
        typed = [each for each in typed if option_of(each) not in BEFORE_STEPS]
    if foreign := [each for each in typed if option_of(each) in FROM_THE_USER]:
        needed = shlex.join(foreign)
        raise ValueError(f"recipe={text} needs {needed}, which only you can give")
    return [*typed, *rest]


def fetched_path(address: str) -> Path:
    """The path of a model on the hub, which is fetched. Raises ValueError."""
    path: Path = import_module("ddpm_cli.checkpoints.published").checkpoint_path(address)
    return path


def option_of(argument: str) -> str:
    """The option or group that an argument sets, adds or deletes."""
    return argument.lstrip("+~").partition("=")[0]


def group_of(argument: str) -> str:
    """The group of an argument's option: another choice of the group has other options."""
    return option_of(argument).partition(".")[0]
