"""The overrides that give a run the network and the schedule of a checkpoint."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.config.auto import FIXED
from ddpm_cli.config.composition import own_hydra
from ddpm_cli.config.overrides import (
    Plain,
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


@dataclass(frozen=True)
class TypedOptions:
    """What the command line says of a run that starts from a checkpoint.

    names: of options and groups. experiments: their overrides, of a sweep all. data: overrides of
    the images and their size; None where a sweep varies them. config_dir: the user's YAML files.
    hides_labels: whether labels are hidden in training.
    """

    names: Collection[str]
    experiments: Sequence[str] = ()
    data: Sequence[str] | None = ()
    config_dir: Path | None = None
    hides_labels: bool = True


def network_overrides(path: Path, typed: TypedOptions) -> list[str]:
    """The overrides that compose the network and the schedule of a checkpoint.

    An option on the command line wins. A group on the command line keeps its own options; those
    that are auto in it have the checkpoint's values. Models and schedules of experiments do not
    count. Raises ValueError if the checkpoint cannot be read or has no such options.
    """
    checkpoint = load_initial(path, parts=())
    config: Any = OmegaConf.to_container(checkpoint.config, resolve=True)
    wanted = {group: config.get(group) for group in GROUPS_TAKEN}
    if not all(isinstance(node, dict) for node in wanted.values()):
        raise ValueError(f"init: {checkpoint.source} has no model and schedule in its options")
    with own_hydra("train", typed.config_dir):
        wanted["model"] = fitted_model(wanted["model"], checkpoint.shape, typed)
        usual = command_groups("train")
        chosen = [
            f"{group}={nearest_choice(group, node, usual[group])}" for group, node in wanted.items()
        ]
        sets = [[*chosen, each] for each in typed.experiments] or [chosen]
        changes = [each for said in sets for each in override_changes(compose_train(said), wanted)]
    overrides = dict.fromkeys([*chosen, *changes, *chosen_numbers_of(checkpoint)])
    taken = [each for each in overrides if is_taken(each, typed.names)]
    return [*taken, *loss_override(checkpoint, typed.names)]


def fitted_model(model: Plain, shape: Sequence[int], typed: TypedOptions) -> Plain:
    """The options of a checkpoint's model for the run's images.

    Attention stays at its depth if the images have another size. Labels are hidden in training, so
    that a network which knew no image without a label gets a row for it.
    """
    network = dict(model["network"]) if isinstance(model.get("network"), dict) else {}
    if typed.hides_labels:
        network.pop("null_label", None)
    sides = network.get("attention_at")
    if isinstance(sides, list) and sides and typed.data is not None:
        size = compose_train([*typed.experiments[:1], *typed.data])["data"].get("size")
        side = size[0] if isinstance(size, list) else size
        if isinstance(side, int) and side != shape[1]:
            network["attention_at"] = [max(1, each * side // shape[1]) for each in sides]
    return {**model, "network": network}


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
