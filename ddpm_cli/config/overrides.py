"""From a configuration back to the overrides that compose the configuration."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.config.auto import AUTO, NODES, chosen_options, fill_unless_chosen
from ddpm_cli.config.build import GROUPS
from ddpm_cli.config.composition import (
    choices,
    compose_present,
    composing,
    own_config_dir,
    yaml_sources,
)
from ddpm_cli.config.schema import option_differences
from ddpm_cli.config.values import text_value, yaml_text
from ddpm_cli.config.yaml_options import command_groups, group_files

Plain = dict[str, Any]
KEY = re.compile(r"\w+(\.\w+)*", re.ASCII)
SPECIAL, ESCAPED = re.compile(r"[\\()\[\]{}:=, ]"), r"\\\g<0>"  # names, which have no quotes
ABSENT: Any = object()
READ_FIRST = ("experiment", "data", "model", "schedule", "loss", "train_times", "trainer")
NOT_THE_RECIPE: Plain = {  # never taken from a file
    **{"resume": None, "init": None, "init_weights": "ema"},
    **{"trust": [], "auto": True},
}


def recipe_of(config: Plain) -> Plain:
    """The recipe of a plain configuration: what may be taken from a file, which names no logger."""
    recipe = {name: node for name, node in config.items() if name != "logger"} | NOT_THE_RECIPE
    if isinstance(trainer := recipe.get("trainer"), dict):
        recipe["trainer"] = {name: each for name, each in trainer.items() if name != "loggers"}
    return recipe


def overrides_for(wanted: Plain) -> list[str]:
    """The overrides of `ddpm-train` that compose a plain configuration from today's YAML files.

    An option that `wanted` lacks keeps its default. Raises ValueError if no overrides compose it.
    """
    defaults = compose_train([])
    groups = [group for group in (*GROUPS, "guider") if isinstance(wanted.get(group), dict)]
    usual = command_groups("train")
    nearest = {group: nearest_choice(group, wanted[group], usual[group]) for group in groups}
    chosen = [
        f"{group}={nearest[group]}"
        for group in groups
        if wanted[group] != defaults.get(group) and nearest[group] != usual[group]
    ]
    present = compose_train(chosen) if chosen else defaults
    moved = [  # by another choice, as the loss by a learned variance
        f"{group}={nearest[group]}"
        for group in groups
        if f"{group}={nearest[group]}" not in chosen
        and present.get(group, {}).get("_target_") != wanted[group].get("_target_")
        and nearest[group] != usual[group]
    ]
    chosen += moved
    return [*chosen, *override_changes(compose_train(chosen) if moved else present, wanted)]


def compose_train(typed: list[str]) -> Plain:
    """The configuration that `ddpm-train` composes from these overrides, as plain values."""
    with composing():
        return compose_from(yaml_sources(), tuple(typed))


@cache
def compose_from(sources: tuple[str, ...], typed: tuple[str, ...]) -> Plain:
    """Compose a configuration; a cache by the folders of YAML files serves a sweep's equal jobs."""
    composed = compose_present("train", typed)
    fill_unless_chosen(composed)
    cfg: Any = OmegaConf.to_container(composed, resolve=True)
    return cfg


def nearest_choice(group: str, wanted: Plain, usual: str) -> str:
    """The choice of a group that is most like a node; the usual choice, if none is more alike.

    Among equal choices, a choice with an option that must be given wins.
    """
    own = own_config_dir()

    def unlike(choice: str) -> tuple[bool, int, bool, bool]:
        node = choice_node(group, choice, own)
        differences = option_differences(node, wanted)
        apart = [before for _, before, _ in differences if before not in ("???", AUTO)]
        is_other = node.get("_target_") != wanted.get("_target_")
        return is_other, len(apart), "???" not in node.values(), choice != usual

    return min(choices(group), key=unlike)


@cache
def choice_node(group: str, choice: str, own: str | None) -> Plain:
    """The node of a choice, with the choices that it is based on, as YAML files say it.

    own: the user's own folder of YAML files.
    """
    files = group_files(group, [Path(own)] if own else [])
    node: Any = OmegaConf.to_container(OmegaConf.load(files[choice]))
    bases = [each for each in node.pop("defaults", []) if isinstance(each, str) and each in files]
    parts = [choice_node(group, base, own) for base in bases]
    merged: Any = OmegaConf.to_container(OmegaConf.merge(*parts, node))
    return merged


def chosen_overrides(cfg: DictConfig) -> list[str]:
    """The overrides that give the options that a run has chosen their values."""
    values = chosen_options(cfg)
    choices = [
        f"{key}={values[key]['_target_'].rpartition('.')[2]}" for key in NODES if key in values
    ]
    options = [key for key in values if key not in NODES]
    return [*choices, *(f"{key}={override_value(values[key])}" for key in options)]


def in_reading_order(overrides: Sequence[str]) -> list[str]:
    """Overrides as a person reads them: data, model, loss, trainer; choices before options.

    Overrides of one option keep their order, because the last one wins.
    """

    def place(override: str) -> tuple[int, bool]:
        key = override.lstrip("+~").partition("=")[0]
        group = re.split(r"[.@/]", key)[0]
        is_option = "." in key.partition("@")[0]
        return (*READ_FIRST, group).index(group), is_option

    return sorted(overrides, key=place)


def override_changes(present: Plain, wanted: Plain, prefix: str = "") -> Iterator[str]:
    """The overrides that turn `present` into `wanted`, option by option."""
    target = wanted.get("_target_")
    settled = prefix == "" or (
        target == present.get("_target_") and str(target).startswith("ddpm_cli.")
    )
    for name in {**present, **wanted}:
        key, before, after = f"{prefix}{name}", present.get(name, ABSENT), wanted.get(name, ABSENT)
        if not KEY.fullmatch(key):
            raise ValueError(f"{key!r} cannot be said on a command line")
        if isinstance(after, dict) and after and (before is ABSENT or isinstance(before, dict)):
            yield from override_changes({} if before is ABSENT else before, after, f"{key}.")
        elif after is ABSENT:
            yield from () if settled else (f"~{key}",)
        elif before is ABSENT or before != after:
            yield f"{'+' * (before is ABSENT)}{key}={override_value(after)}"


def override_value(value: Any) -> str:
    """A value in the grammar of overrides."""
    if isinstance(value, Mapping):
        return (
            "{"
            + ",".join(
                f"{SPECIAL.sub(ESCAPED, str(name))}:{override_value(each)}"
                for name, each in value.items()
            )
            + "}"
        )
    if isinstance(value, list):
        return "[" + ",".join(map(override_value, value)) + "]"
    if isinstance(value, str):
        return text_value(value)
    return yaml_text(value)
