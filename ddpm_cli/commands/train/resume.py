"""The resumption of a run from a checkpoint: find it, compare its recipe, restore it."""

import logging
from filecmp import cmp
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from ddpm_cli.checkpoint_paths import run_of, run_there_text
from ddpm_cli.checkpoints import (
    LAST,
    Checkpoint,
    best_checkpoint,
    existing_file,
    newest_first,
    newest_readable,
)
from ddpm_cli.commands.train.run import Run
from ddpm_cli.files import user_path
from ddpm_cli.loading import Position
from ddpm_cli.pace.cadences import saved_cadences
from ddpm_cli.recipes.changes import best_metric_changes, recipe_changes
from ddpm_cli.run_folder.overrides import command_to_go_on
from ddpm_cli.training import snapshot

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
            raise ValueError(run_there_text(folder, newest[0]))
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


def cadences_of(checkpoint: Checkpoint) -> dict[str, int]:
    """The steps between the actions of a checkpoint's run, by the options' names."""
    options: Any = OmegaConf.to_container(checkpoint.config, resolve=True)
    return saved_cadences(checkpoint.cadences, options.get("trainer"), checkpoint.steps)


def restore_run(run: Run, checkpoint: Checkpoint) -> None:
    """Restore a run from a checkpoint, and log the changes that make the rest of the run differ."""
    state = run.state
    try:
        changes = recipe_changes(checkpoint, run.cfg, run.fingerprint, run.steps)
    except ValueError as error:
        command = command_to_go_on(run_of(checkpoint.path), run.invocation.overrides)
        advice = f"; the run goes on with: {command}" if command else ""
        raise ValueError(f"{error}{advice}") from error
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
    run.init, run.origin = checkpoint.init, checkpoint.origin
    run.identity = checkpoint.run
    if (before := len(state.positions)) not in (0, run.group.count):
        again = "so that the stream is read from its first image on again"
        changes.append(f"processes: {before} -> {run.group.count}, {again}")
    best_changes = best_metric_changes(checkpoint.config, run.cfg)
    if best_changes or not best_checkpoint(run.folder):
        state.verdict.best.forget()
    for change in best_changes:
        log.info("changed, so that no checkpoint of before is the best: %s", change)
    for change in [*changes, *["the optimizer starts with nothing remembered"] * fresh]:
        log.info("changed, so the rest is not what it would have been: %s", change)
