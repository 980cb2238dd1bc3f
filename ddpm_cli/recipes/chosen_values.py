"""The values of the options that hold `auto`: chosen once, or those of a checkpoint or a sweep."""

from collections.abc import Callable, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.config.auto import (
    AUTO,
    FIXED,
    auto_options,
    chosen_options,
    recipe_options,
    set_options,
)
from ddpm_cli.config.build import GROUPS
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.config.schema import check_groups
from ddpm_cli.data import Source
from ddpm_cli.parallel import ProcessGroup
from ddpm_cli.recipes.choice import choose
from ddpm_cli.recipes.facts import facts_of_run
from ddpm_cli.recipes.recipe import Recipe


def choose_recipe(
    cfg: DictConfig,
    invocation: Invocation,
    checkpoint: Checkpoint | None,
    group: ProcessGroup,
    source: Callable[[], Source],
    shared: Mapping[str, Any],
    fixed: Mapping[str, Any],
) -> Recipe | None:
    """Give every option that holds `auto` its value, in all processes that of the first.

    A resumed run takes the values of its checkpoint, a job of a sweep those of the first job, in
    `shared`. fixed: values in place of a choice, for options that hold `auto`. `cfg.auto` becomes
    the list of the options. Returns None without a choice.
    """
    names = auto_options(cfg)
    if checkpoint:
        take_recipe(cfg, checkpoint, names)
    if checkpoint or not names:
        return None
    images = source()
    facts, shared = group.broadcast((facts_of_run(cfg, images, group.count), dict(shared)))
    swept = {key: AUTO for key in invocation.swept if key in FIXED}
    fixed = {key: fixed[key] for key in fixed if key in names}
    options = {**recipe_options(cfg), **fixed, **swept}
    values = {**choose(facts, options), **fixed, **shared}
    set_options(cfg, {name: values[name] for name in names})
    check_groups(cfg, *GROUPS)
    cfg.auto = names
    return Recipe(facts, names, is_shared=bool(shared))


def take_recipe(cfg: DictConfig, checkpoint: Checkpoint, names: list[str]) -> None:
    """Take the values of a checkpoint; an option that its format lacks has its fixed value."""
    before = {key: OmegaConf.select(checkpoint.config, key, default=None) for key in names}
    set_options(cfg, {key: FIXED[key] if each is None else each for key, each in before.items()})
    check_groups(cfg, *GROUPS)  # a checkpoint may come from elsewhere
    chosen = {*names, *chosen_options(checkpoint.config)}
    cfg.auto = [key for key in FIXED if key in chosen]
