"""The overrides that give a run the network and the schedule of a checkpoint."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.config.auto import FIXED
from ddpm_cli.config.composition import own_hydra
from ddpm_cli.config.overrides import (
    compose_train,
    nearest_choice,
    override_changes,
    override_value,
)
from ddpm_cli.config.recipe import is_recipe
from ddpm_cli.config.yaml_options import command_groups
from ddpm_cli.fine_tuning.initial_weights import load_initial

GROUPS_TAKEN = ("model", "schedule")
LEARNED = "loss=hybrid"  # what trains a learned variance


def network_overrides(
    path: Path, typed: Collection[str], experiments: Sequence[str], config_dir: Path | None
) -> list[str]:
    """The overrides that compose the network and the schedule of a checkpoint, but for `typed`.

    typed: the options and groups on the command line. A group on the command line keeps its own
    options; those that are auto in it have the checkpoint's values. experiments: the overrides of
    experiments, whose models and schedules do not count.
    Raises ValueError if the checkpoint cannot be read or has no such options.
    """
    checkpoint = load_initial(path, parts=())
    config: Any = OmegaConf.to_container(checkpoint.config, resolve=True)
    wanted = {group: config.get(group) for group in GROUPS_TAKEN}
    if not all(isinstance(node, dict) for node in wanted.values()):
        raise ValueError(f"init: {checkpoint.source} has no model and schedule in its options")
    with own_hydra("train", config_dir):
        usual = command_groups("train")
        chosen = [
            f"{group}={nearest_choice(group, node, usual[group])}" for group, node in wanted.items()
        ]
        sets = [[*chosen, each] for each in experiments] or [chosen]
        changes = [each for said in sets for each in override_changes(compose_train(said), wanted)]
    overrides = dict.fromkeys([*chosen, *changes, *chosen_numbers_of(checkpoint)])
    return [each for each in overrides if is_taken(each, typed)] + loss_override(checkpoint, typed)


def chosen_numbers_of(checkpoint: Checkpoint) -> list[str]:
    """The overrides of the options that a run would choose for another network."""
    values = {key: OmegaConf.select(checkpoint.config, key) for key in FIXED}
    plain = {
        key: OmegaConf.to_container(each) if OmegaConf.is_config(each) else each
        for key, each in values.items()
        if key.startswith(GROUPS_TAKEN) and each is not None
    }
    return [f"{key}={override_value(each)}" for key, each in plain.items()]


def is_taken(override: str, typed: Collection[str]) -> bool:
    """Whether an override of a checkpoint counts beside those on the command line."""
    if not is_recipe(override):
        raise ValueError(f"init: the option {override[:100]!r} is of no network or schedule")
    key = override.lstrip("+~").partition("=")[0]
    group = key.partition(".")[0]
    if group in typed:
        return key in FIXED and key not in typed
    return not any(f"{key}.".startswith(f"{each}.") for each in typed)


def loss_override(checkpoint: Checkpoint, typed: Collection[str]) -> list[str]:
    """The loss for a network whose variance is learned, if neither is on the command line."""
    variance = OmegaConf.select(checkpoint.config, "model.variance", default="")
    is_named = any(each.partition(".")[0] in ("loss", "experiment", "recipe") for each in typed)
    if variance != "learned" or is_named or {"model", "model.variance"} & {*typed}:
        return []
    return [LEARNED]
