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
from ddpm_cli.networks.layers import attended_stages

GROUPS_TAKEN = ("model", "schedule")
OF_LEARNED = "loss=hybrid"  # what trains a learned variance
ATTENTION = "model.network.attention_at"


@dataclass(frozen=True)
class TypedOptions:
    """What the command line says of a run that starts from a checkpoint.

    names: of options and groups. experiments: their overrides, of a sweep all. jobs: of each job of
    a sweep, the overrides of its experiment, its images and its labels. config_dir: the user's YAML
    files.
    """

    names: Collection[str]
    experiments: Sequence[str] = ()
    jobs: Sequence[Sequence[str]] = ((),)
    config_dir: Path | None = None


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
        changes = [each for one in sets for each in override_changes(compose_train(one), wanted)]
    overrides = dict.fromkeys([*chosen, *changes, *chosen_numbers_of(checkpoint)])
    own = [each for each in overrides if is_taken(each, typed.names)]
    return [*own, *loss_override(checkpoint, typed.names)]


def fitted_model(model: Plain, shape: Sequence[int], typed: TypedOptions) -> Plain:
    """The options of a checkpoint's model for the run's images.

    Attention stays at its depth if the images have another size. A network which knew no image
    without a label gets a row for it, if labels are hidden in training. Raises ValueError if the
    jobs of a sweep need attention at different sides.
    """
    network = dict(model["network"]) if isinstance(model.get("network"), dict) else {}
    jobs = [compose_train(list(each)) for each in typed.jobs]
    if "null_label" in network and any(each["trainer"].get("label_dropout") != 0 for each in jobs):
        network["null_label"] = True
    if network.get("attention_at") and not {"model", "model.network", ATTENTION} & {*typed.names}:
        sizes = [each["data"].get("size") for each in jobs]
        moved, *others = [moved_attention(network, shape[1:], size) for size in sizes]
        if any(each != moved for each in others):
            rule = f"name {ATTENTION}, or fine-tune for one size"
            raise ValueError(f"init: a sweep over sizes of images moves {ATTENTION}; {rule}")
        network["attention_at"] = moved
    return {**model, "network": network}


def moved_attention(network: Plain, old: Sequence[int], size: Any) -> Any:
    """The sides of maps at which a network attends at its depth for images of another size.

    old: H and W before. Raises ValueError if no sides name the same maps and no others.
    """
    sides, widths = network["attention_at"], network.get("dim_mults")
    new = [size, size] if type(size) is int else size
    is_size = isinstance(new, list) and all(type(each) is int for each in new)
    if not is_size or new == [*old] or not (isinstance(sides, list) and isinstance(widths, list)):
        return sides  # images of the checkpoint's size, or a network without such stages
    attended = attended_stages(old, len(widths), sides)
    stages = [stage for stage, attends in enumerate(attended) if attends]
    for chosen in (new[:1], new[1:], new):
        moved = list(dict.fromkeys(side // 2**stage for stage in stages for side in chosen))
        if attended_stages(new, len(widths), moved) == attended:
            return moved
    fault = f"no sides of maps of images of {new} are at the depth of {sides} of {[*old]}"
    raise ValueError(f"init: {fault}; name {ATTENTION}")


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
    return [OF_LEARNED]
