"""The resumption of a run from a checkpoint: find it, compare its recipe, restore it."""

import logging
from collections.abc import Iterator
from filecmp import cmp
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.checkpoints import (
    LAST,
    Checkpoint,
    existing_file,
    has_best,
    newest_first,
    newest_readable,
)
from ddpm_cli.commands.train.run import Run
from ddpm_cli.config.rules import data_rules
from ddpm_cli.config.schema import option_differences
from ddpm_cli.config.values import yaml_text
from ddpm_cli.files import user_path
from ddpm_cli.loading import Position
from ddpm_cli.pace.cadences import saved_cadences
from ddpm_cli.seeds import RANDOMNESS
from ddpm_cli.training import snapshot
from ddpm_cli.training.trainer import CADENCES

SAME = ("model.", "schedule.", "seed", "trainer.batch_size", "data.holdout")
SOURCE = (  # by fingerprint alone
    "_target_ path name split image_column label cache on_error pages rules range"
)
FREE = ("sampler.", "logger", "resume", "trust", *(f"data.{name}" for name in SOURCE.split()))
STREAM = ("data.name", "data.split")  # not free in a stream: its fingerprint is of a few images
HOW = "device parallel processes workers microbatch precision compile activation_checkpointing"
BESIDE = "loggers measures measure_images best stop_at keep_last bad_steps deterministic graphs"
FREE_OF_TRAINER = (*HOW.split(), *CADENCES, *BESIDE.split())
LATER: dict[str, Any] = {  # the value that an option had before checkpoints held it
    "model.conditional": False,
    "data.holdout": 0.0,
    "data.streaming": False,
    "data.crop": "center",
    "data.margin": 0.125,
    "loss.distance": "l2",
    "schedule.zero_snr": False,
    "train_times": {"_target_": "ddpm_cli.train_times.uniform"},
    "trainer.best": "held_out",
    "trainer.offset_noise": 0.0,
    "trainer.input_perturbation": 0.0,
}
log = logging.getLogger(__name__)


def find_checkpoint(resume: str | None, folder: Path, named: bool) -> Checkpoint | None:
    """The checkpoint that a run resumes from, if any.

    Raises ValueError if the folder holds a run that would be lost, or if no checkpoint is readable.
    """
    newest = newest_first(folder)
    if resume == "auto":
        if not named:
            where = "in the folder that hydra.run.dir=FOLDER names, but none is named"
            raise ValueError(f"resume=auto goes on {where}")
        return newest_readable(newest, load_to_resume) if newest else None
    path = existing_file(user_path(resume)) if resume else None
    if newest:
        inside = path is not None and path.resolve().parent == newest[0].resolve().parent
        if path is None or not inside:
            holds = f"hydra.run.dir={str(folder)!r} holds a run already ({newest[0].name})"
            raise ValueError(f"{holds}; go on with resume=auto, or name another folder")
        if path.stem != LAST and not is_same_file(path, newest[0]):
            holds = f"{str(folder)!r} holds newer checkpoints ({newest[0].name})"
            lost = f"which going on from {path.name} would lose"
            raise ValueError(f"{holds}, {lost}; name another folder")
    return load_to_resume(path) if path else None


def is_same_file(path: Path, other: Path) -> bool:
    """Whether two paths are one file, or a copy where the file system has no links."""
    return path.is_file() and (path.samefile(other) or cmp(path, other, shallow=False))


def load_to_resume(path: Path) -> Checkpoint:
    """Load a checkpoint. Raises ValueError if its run cannot go on."""
    checkpoint = Checkpoint.load(path)
    if not checkpoint.part("network"):
        exported = f"{str(path)!r} is an export, which holds the EMA alone"
        raise ValueError(f"{exported}: no run goes on from it, but recipe={path} trains again")
    if not all(map(Position.is_valid, checkpoint.stream)):
        raise ValueError(f"the checkpoint {path}: 'stream' must hold where each process goes on")
    return checkpoint


def recipe_changes(checkpoint: Checkpoint, cfg: DictConfig, data: str, steps: int) -> list[str]:
    """The changes since the checkpoint that make the rest of the run differ.

    Raises ValueError for options that must not differ, and for other images.
    """
    unused = ["trainer.label_dropout"] * (not option(cfg, "model.conditional", False))
    unused += ["data.margin"] * (option(cfg, "data.crop", "center") != "random")
    fixed = STREAM if option(cfg, "data.streaming", False) else ()
    free = [name for name in FREE if name not in fixed]
    free += [*(f"trainer.{name}" for name in FREE_OF_TRAINER), *unused]
    changes = [
        (key, brief_value(before), brief_value(after))
        for key, before, after in changed_options(checkpoint.config, cfg)
        if not key.startswith(tuple(free))
    ]
    broken = [f"{key} was {old} and is {new}" for key, old, new in changes if key.startswith(SAME)]
    if checkpoint.fingerprint != data:
        broken.append(
            f"the images are others (their fingerprint differs{rules_remedy(checkpoint, cfg)})"
        )
    if broken:
        raise ValueError(f"cannot resume: {'; '.join(broken)}")
    if checkpoint.randomness != RANDOMNESS:
        new = f"{RANDOMNESS}, so that best metric and held-out history start anew"
        changes.append(("randomness", str(checkpoint.randomness), new))
    if checkpoint.steps != steps:
        changes.append(("steps in all", str(checkpoint.steps), str(steps)))
    return [f"{key}: {old} -> {new}" for key, old, new in changes]


def cadences_of(checkpoint: Checkpoint) -> dict[str, int]:
    """The steps between the actions of a checkpoint's run, by the options' names."""
    options: Any = OmegaConf.to_container(checkpoint.config, resolve=True)
    return saved_cadences(checkpoint.cadences, options.get("trainer"), checkpoint.steps)


def rules_remedy(checkpoint: Checkpoint, cfg: DictConfig) -> str:
    """The option that reads the images as the run did, if the rules have changed since."""
    before, now = data_rules(checkpoint.config), data_rules(cfg)
    if None in (before, now) or before == now:
        return ""
    remedy = f"data.rules={before} reads images, classes and labels as before"
    return f": data.rules was {before} and is {now}; {remedy}"


def best_metric_changes(old: DictConfig, cfg: DictConfig) -> list[str]:
    """The changes after which no earlier checkpoint can count as the best."""
    of_samples = () if cfg.trainer.best == "held_out" else ("trainer.measure_images", "sampler.")
    return [
        f"{key}: {brief_value(before)} -> {brief_value(after)}"
        for key, before, after in changed_options(old, cfg)
        if key.startswith(("trainer.best", *of_samples))
    ]


def changed_options(old: DictConfig, new: DictConfig) -> Iterator[tuple[str, Any, Any]]:
    """Yield the options that differ. An option that an older checkpoint lacks has its old value."""
    before, after = (OmegaConf.to_container(each, resolve=True) for each in (old, new))
    for key, one, other in option_differences(before, after):
        one = LATER.get(key) if one is None else one
        if one != other:
            yield key, one, other


def option(cfg: DictConfig, key: str, default: Any) -> Any:
    """The value of an option that a configuration may lack."""
    return OmegaConf.select(cfg, key, default=default)


def brief_value(value: Any) -> str:
    """A value for the screen; a long list is shown by its first and last element."""
    long = isinstance(value, list) and len(value) > 8
    return f"[{value[0]}, ..., {value[-1]}]" if long else yaml_text(value)


def restore_run(run: Run, checkpoint: Checkpoint) -> None:
    """Restore a run from a checkpoint, and log the changes that make the rest of the run differ."""
    state = run.state
    changes = recipe_changes(checkpoint, run.cfg, run.fingerprint, run.steps)
    new_loss, new_times, new_optimizer = (
        any(change.startswith(key) for change in changes)
        for key in ("loss", "train_times", "trainer.optimizer._target_")
    )
    shapes, own = (
        {name: tensor.shape for name, tensor in tensors.items()}
        for tensors in (checkpoint.part("loss"), state.loss_module.state_dict())
    )
    if shapes != own and not new_loss:
        raise ValueError(
            "cannot resume: the checkpoint's parameters of the loss are not this loss's"
        )
    fresh = shapes != own or new_optimizer
    history = not (new_loss or new_times)
    snapshot.restore_snapshot(state, checkpoint, optimizer=not fresh, history=history)
    state.positions = state.positions if run.rows else []
    if (before := len(state.positions)) not in (0, run.group.count):
        again = "so that the stream is read from its first image on again"
        changes.append(f"processes: {before} -> {run.group.count}, {again}")
    best_changes = best_metric_changes(checkpoint.config, run.cfg)
    if best_changes or not has_best(run.folder):
        state.verdict.best.forget()
    for change in best_changes:
        log.info("changed, so that no checkpoint of before is the best: %s", change)
    for change in [*changes, *["the optimizer starts with nothing remembered"] * fresh]:
        log.info("changed, so the rest is not what it would have been: %s", change)
