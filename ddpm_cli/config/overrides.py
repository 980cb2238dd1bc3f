"""From a configuration back to the overrides that compose the configuration."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.config.auto import NODES, chosen_options, fill_unless_chosen
from ddpm_cli.config.build import GROUPS
from ddpm_cli.config.composition import choices, compose_present, composing, yaml_sources
from ddpm_cli.config.schema import option_differences
from ddpm_cli.config.values import text_value, yaml_text

Plain = dict[str, Any]
KEY = re.compile(r"\w+(\.\w+)*", re.ASCII)
SPECIAL, ESCAPED = re.compile(r"[\\()\[\]{}:=, ]"), r"\\\g<0>"  # names, which have no quotes
ABSENT: Any = object()
READ_FIRST = ("experiment", "data", "model", "schedule", "loss", "train_times", "trainer")
NOT_THE_RECIPE: Plain = {"resume": None, "trust": [], "auto": True}  # never taken from a file


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
    groups = [group for group in GROUPS if isinstance(wanted.get(group), dict)]
    chosen = [
        f"{group}={choice}"
        for group in groups
        if (choice := nearest_choice(defaults, group, wanted)) is not None
    ]
    return [*chosen, *override_changes(compose_train(chosen) if chosen else defaults, wanted)]


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


def nearest_choice(defaults: Plain, group: str, wanted: Plain) -> str | None:
    """The choice of a group that is most like `wanted`; None if the default is the most alike.

    Among equal choices, a choice with an option that must be given wins.
    """

    def unlike(node: Plain) -> tuple[bool, int, bool]:
        apart = [
            before for _, before, _ in option_differences(node, wanted[group]) if before != "???"
        ]
        return (
            node.get("_target_") != wanted[group].get("_target_"),
            len(apart),
            "???" not in node.values(),
        )

    if wanted[group] == defaults[group]:
        return None
    distances = {
        choice: unlike(compose_train([f"{group}={choice}"])[group]) for choice in choices(group)
    }
    best = min(distances, key=lambda choice: distances[choice])
    return best if distances[best] < unlike(defaults[group]) else None


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
