"""Going on with a run: where its checkpoint lies, and whether it is the same run."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.checkpoints import Checkpoint, newest_first, newest_readable
from ddpm_cli.commands.train.run import Run
from ddpm_cli.config.values import option_differences
from ddpm_cli.loading import Position
from ddpm_cli.training import snapshot
from ddpm_cli.training.trainer import CADENCES

SAME = ("model.", "schedule.", "seed", "trainer.batch_size", "data.holdout")
OF_SOURCE = (
    "_target_",
    "path",
    "name",
    "split",
    "image_column",
    "label",
    "cache",
    "on_error",
)  # the fingerprint tells what matters
FREE = ("sampler.", "resume", "trust", *(f"data.{name}" for name in OF_SOURCE))
OF_STREAM = ("data.name", "data.split")  # are told where only the first images have a fingerprint
HOW = (
    "device",
    "parallel",
    "processes",
    "workers",
    "microbatch",
    "precision",
    "compile",
    "activation_checkpointing",
)
FREE_OF_TRAINER = (
    *HOW,
    *CADENCES,
    "measures",
    "measure_images",
    "best",
    "stop_at",
    "keep_last",
    "bad_steps",
)
LATER: dict[str, Any] = {  # what options that older checkpoints lack were in their runs
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
    """The checkpoint to go on from and what is in it, if any; ValueError where a run would be lost or cannot be found."""
    there = newest_first(folder)
    if resume == "auto":
        if not named:
            raise ValueError(
                "resume=auto goes on in the folder that hydra.run.dir=FOLDER names, but none is named"
            )
        return newest_readable(there, load_to_resume) if there else None
    found = Path(resume).expanduser() if resume else None
    if there and found is None:
        held = f"hydra.run.dir={str(folder)!r} holds a run already ({there[0].name})"
        raise ValueError(f"{held}; go on with resume=auto, or name another folder")
    newest = found is not None and (
        found.name == "last.pt" or (found.is_file() and bool(there) and found.samefile(there[0]))
    )
    if there and found and found.resolve().parent == there[0].resolve().parent and not newest:
        held = f"{str(folder)!r} holds newer checkpoints ({there[0].name})"
        raise ValueError(
            f"{held}, which going on from {found.name} would lose; name another folder"
        )
    return load_to_resume(found) if found else None


def load_to_resume(path: Path) -> Checkpoint:
    """Load a checkpoint; ValueError where its stream cannot go on."""
    checkpoint = Checkpoint.load(path)
    if not all(map(Position.readable, checkpoint.stream)):
        raise ValueError(f"the checkpoint {path}: 'stream' must hold where each process goes on")
    return checkpoint


def recipe_changes(checkpoint: Checkpoint, cfg: DictConfig, data: str, steps: int) -> list[str]:
    """What differs from the run in the checkpoint and makes the rest another one; ValueError for what must not differ."""
    unused = ["trainer.label_dropout"] * (
        not OmegaConf.select(cfg, "model.conditional", default=False)
    )
    unused += ["data.margin"] * (OmegaConf.select(cfg, "data.crop", default="center") != "random")
    told = OF_STREAM if OmegaConf.select(cfg, "data.streaming", default=False) else ()
    free = (
        *(name for name in FREE if name not in told),
        *(f"trainer.{name}" for name in FREE_OF_TRAINER),
        *unused,
    )
    found = [
        (key, before, after)
        for key, before, after in changed_options(checkpoint.config, cfg)
        if not key.startswith(free)
    ]
    broken = [
        f"{key} was {short_text(before)} and is {short_text(after)}"
        for key, before, after in found
        if key.startswith(SAME)
    ]
    broken += ["the images are others (their fingerprint differs)"] * (
        checkpoint.fingerprint != data
    )
    if broken:
        raise ValueError(f"cannot resume: {'; '.join(broken)}")
    length = [("steps in all", checkpoint.steps, steps)] * (checkpoint.steps != steps)
    return [
        f"{key}: {short_text(before)} -> {short_text(after)}"
        for key, before, after in [*found, *length]
    ]


def best_metric_changes(old: DictConfig, cfg: DictConfig) -> list[str]:
    """What differs so that numbers of before are none to be the best among."""
    of_samples = () if cfg.trainer.best == "held_out" else ("trainer.measure_images", "sampler.")
    wanted = ("trainer.best", *of_samples)
    return [
        f"{key}: {short_text(before)} -> {short_text(after)}"
        for key, before, after in changed_options(old, cfg)
        if key.startswith(wanted)
    ]


def changed_options(old: DictConfig, new: DictConfig) -> Iterator[tuple[str, Any, Any]]:
    """The options that differ, those that an older checkpoint lacks as they were in its run."""
    before, after = (OmegaConf.to_container(each, resolve=True) for each in (old, new))
    known = (
        (key, LATER.get(key) if one is None else one, other)
        for key, one, other in option_differences(before, after)
    )
    return ((key, one, other) for key, one, other in known if one != other)


def short_text(value: Any) -> str:
    """A value for the screen: of a long list the ends."""
    long = isinstance(value, list) and len(value) > 8
    return f"[{value[0]}, ..., {value[-1]}]" if long else repr(value)


def restore_run(run: Run, checkpoint: Checkpoint) -> Run:
    """The run as it goes on from a checkpoint; says what makes the rest another one."""
    changed = recipe_changes(checkpoint, run.cfg, run.fingerprint, run.steps)
    learned = run.state.loss_module.state_dict()
    alike = {name: each.shape for name, each in checkpoint.loss.items()} == {
        name: each.shape for name, each in learned.items()
    }
    another, times = (
        any(change.startswith(group) for change in changed) for group in ("loss", "train_times")
    )
    if not alike and not another:
        raise ValueError(
            "cannot resume: the checkpoint's parameters of the loss are not this loss's"
        )
    other = not alike or any(change.startswith("trainer.optimizer._target_") for change in changed)
    snapshot.restore_snapshot(run.state, checkpoint, moments=not other, past=not (another or times))
    run.state.positions = run.state.positions if run.rows else []
    if (before := len(run.state.positions)) not in (0, run.group.count):
        changed.append(
            f"processes: {before} -> {run.group.count}, so that the stream is read from its first image on again"
        )
    other_best = best_metric_changes(checkpoint.config, run.cfg)
    if other_best or not (run.folder / "checkpoints/best.pt").exists():
        run.state.verdict.forget_best()
    for change in other_best:
        log.info("changed, so that no checkpoint of before is the best: %s", change)
    for change in [*changed, *["the optimizer starts with nothing remembered"] * other]:
        log.info("changed, so the rest is not what it would have been: %s", change)
    return run
