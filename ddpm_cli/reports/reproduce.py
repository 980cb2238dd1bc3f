"""The commands that train a checkpoint's run again, resume the run, and sample from it."""

from collections.abc import Sequence
from contextlib import suppress
from functools import reduce
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.checkpoints import Checkpoint, best_checkpoint
from ddpm_cli.config.auto import FIXED, is_digits
from ddpm_cli.config.build import foreign_modules
from ddpm_cli.config.composition import composing, own_config_dir
from ddpm_cli.config.invocation import ONE_COMMAND, Invocation
from ddpm_cli.config.overrides import chosen_overrides, in_reading_order, overrides_for, recipe_of
from ddpm_cli.config.recipe import OF_LOGGERS, is_recipe
from ddpm_cli.config.rules import data_rules
from ddpm_cli.config.typed_length import BEFORE_STEPS
from ddpm_cli.config.values import text_value
from ddpm_cli.hub.address import is_address
from ddpm_cli.pace.cadences import Cadences
from ddpm_cli.pace.length_scaling import scale_to_length
from ddpm_cli.run_folder.facts import read_facts
from ddpm_cli.run_folder.overrides import typed_overrides
from ddpm_cli.training.trainer import BY_COSTS
from ddpm_cli.training.verdict import Verdict

OURS = "ddpm_cli."  # a part of the user's own refuses options that it does not name


def train_command(checkpoint: Checkpoint) -> str:
    """The command that trains a checkpoint's run again, or the reason why there is none."""
    try:
        invocation = Invocation(Path(), config_dir=checkpoint.config_dir or own_config_dir())
        typed = in_reading_order(recipe_overrides(checkpoint))
        return invocation.train_command([*typed, *initial_overrides(checkpoint)])
    except ValueError as error:
        return f"(none: {error})"


def initial_overrides(checkpoint: Checkpoint) -> list[str]:
    """The overrides that name the weights that a run started from, without their folder."""
    if not (init := checkpoint.init):
        return []
    source = init.get("source", "")
    named = source if is_address(source) else text_value(source)
    return [f"init={named}", *["init_weights=raw"] * (init.get("weights") == "raw")]


def recipe_overrides(checkpoint: Checkpoint) -> list[str]:
    """The overrides of a checkpoint's run as typed, with the values that `auto` became.

    They follow from the configuration if none are known, as in an old file, or if minutes have set
    the length, which is then in steps. Raises ValueError if an override is of no recipe.
    """
    timed = OmegaConf.select(checkpoint.config, "trainer.minutes", default=None) is not None
    if checkpoint.overrides is not None and not timed:
        typed = [
            each
            for each in checkpoint.overrides
            if not (each.startswith(ONE_COMMAND) or OF_LOGGERS.fullmatch(each))
        ]
        typed = [each for each in typed if each not in map("{}=auto".format, FIXED)]
        typed += chosen_overrides(checkpoint.config) or without_choice(checkpoint, typed)
        for each in typed:
            if not (is_recipe(each) or each.startswith("trust=")):
                raise ValueError(f"the override {each[:100]!r} is of no recipe")
        numbers = [f"trainer.{name}={every}" for name, every in chosen_numbers(checkpoint).items()]
        return [*typed, *numbers, *rules_override(checkpoint)]
    try:
        return [*derived_overrides(checkpoint), *rules_override(checkpoint)]
    except (LookupError, TypeError, ArithmeticError) as error:
        raise ValueError(f"the configuration is of no recipe: {error}") from error


def without_choice(checkpoint: Checkpoint, typed: Sequence[str]) -> list[str]:
    """The override that chooses nothing, for a run from before options were chosen."""
    config = checkpoint.config
    is_older = "auto" not in config and not is_digits(config)
    return ["auto=false"] * (is_older and "auto=false" not in typed)


def chosen_numbers(checkpoint: Checkpoint) -> dict[str, int]:
    """The cadences that `auto` became, in a run long enough for costs to change them."""
    trainer: Any = OmegaConf.select(checkpoint.config, "trainer") or {}
    is_short = checkpoint.steps <= min(vars(Cadences()).values())
    if is_short and trainer.get("minutes") is None:
        return {}
    unused = [] if trainer.get("measures") else ["measure_every"]
    return {
        name: every
        for name, every in checkpoint.cadences.items()
        if trainer.get(name) == BY_COSTS and name not in unused
    }


def rules_override(checkpoint: Checkpoint) -> list[str]:
    """The override that reads images as a run did whose configuration names no rules."""
    named = OmegaConf.select(checkpoint.config, "data.rules", default=None) is not None
    return ["data.rules=1"] if data_rules(checkpoint.config) == 1 and not named else []


def derived_overrides(checkpoint: Checkpoint) -> list[str]:
    """The overrides that compose a checkpoint's configuration, with its length in steps."""
    recipe: Any = OmegaConf.to_container(checkpoint.config, resolve=True)
    if isinstance(recipe.get("trainer"), dict):
        length = length_in_steps(recipe["trainer"], checkpoint.steps)
        recipe["trainer"] = {**length, **chosen_numbers(checkpoint)}
    for key, value in FIXED.items():  # which an older configuration may lack
        *path, name = key.split(".")
        if path == ["model", "network"]:  # never lacks them, unless it is another network
            continue
        node = reduce(lambda each, part: (each or {}).get(part), path, recipe)
        if isinstance(node, dict) and str(node.get("_target_", OURS)).startswith(OURS):
            node.setdefault(name, value)
    trusted = Invocation(Path(), trust=foreign_modules(recipe)).trusted
    with composing():
        return [*overrides_for(recipe_of(recipe)), *trusted]


def length_in_steps(trainer: dict[str, Any], steps: int) -> dict[str, Any]:
    """The trainer's options with the length in steps, instead of minutes or epochs."""
    paced = scale_to_length(trainer, steps) if trainer.get("minutes") is not None else {}
    absent: dict[str, Any] = {
        name: None for name in ("minutes", "epochs", "stop_at") if name in trainer
    }
    return {**trainer, **paced, **absent, "steps": steps}


def length_text(checkpoint: Checkpoint) -> str:
    """The length of a run whose minutes or epochs have set its steps, or ''."""
    config = checkpoint.config
    set_by = {key: OmegaConf.select(config, key, default=None) for key in BEFORE_STEPS}
    texts = [f"set by {key}={value}" for key, value in set_by.items() if value is not None]
    return f"{checkpoint.steps:,} steps ({texts[0]})" if texts else ""


def recipe_in_steps(checkpoint: Checkpoint) -> DictConfig:
    """The configuration of a run, with the length in steps where minutes or epochs have set it."""
    config: Any = OmegaConf.to_container(checkpoint.config)
    if length_text(checkpoint):
        with suppress(LookupError, TypeError, ArithmeticError):  # of no recipe
            config["trainer"] = length_in_steps(config["trainer"], checkpoint.steps)
    return OmegaConf.create(config)


def checkpoint_to_sample(folder: Path, last: Path, verdict: Verdict) -> Path:
    """The last checkpoint of a run, or the best if the run overfits: later samples are copies."""
    best = best_checkpoint(folder) if verdict.is_overfitting else None
    return best or last


def run_commands(folder: Path, checkpoint: Checkpoint, sampled: Path) -> dict[str, str]:
    """The commands that follow from a run, by their purpose. sampled: the checkpoint to sample."""
    config_dir = read_facts(folder).get("config_dir")
    invocation = Invocation(
        folder,
        overrides=typed_overrides(folder) or checkpoint.overrides or [],
        config_dir=config_dir if isinstance(config_dir, str) else None,
        trust=foreign_modules(OmegaConf.to_container(checkpoint.config)),
    )
    on = {"Go on where it ended": invocation.resume_command()}
    if checkpoint.step >= checkpoint.steps:
        on = {"Train on, to twice the steps": invocation.longer_command(2 * checkpoint.steps)}
    return {
        "Train it again": train_command(checkpoint),
        **on,
        "Sample from it": invocation.sample_command(sampled),
    }
