"""The checkpoints of a run: which are kept, and in which order they are looked at."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ddpm_cli.checkpoints.file import load, write_checkpoint
from ddpm_cli.files import write_atomically

NAMES = "step_" + "[0-9]" * 8 + ".pt"
log = logging.getLogger(__name__)


def write_and_prune(
    folder: Path,
    content: Mapping[str, Any],
    *,
    last: int,
    every: int | None = None,
    best: bool = False,
) -> Path:
    """Writes `step_*.pt` in `folder`, and drops all but the `last` newest and those of every `every` steps.

    `last.pt` is linked to it, and so is `best.pt`, where it is the best.
    """
    for left in folder.glob(".partial-*"):  # by a process that was killed while it wrote
        left.unlink()
    path = folder / f"step_{content['step']:08d}.pt"
    write_checkpoint(path, content)
    for name in ["last.pt", *["best.pt"] * best]:
        write_atomically(folder / name, lambda partial: os.link(path, partial))
    there = sorted(folder.glob(NAMES))
    undone = [
        other for other in there if other.name > path.name
    ]  # damaged, or of steps that were gone back from
    for other in undone:
        other.unlink()
    for old in [other for other in there if other not in undone][:-last]:
        if every is None or int(old.stem.removeprefix("step_")) % every:
            old.unlink()
    return path


def newest_first(folder: Path) -> list[Path]:
    """The checkpoints in a run's folder, that of the most steps first."""
    return sorted((folder / "checkpoints").glob(NAMES), reverse=True)


def newest_readable(
    paths: Sequence[Path], read: Callable[[Path], dict[str, Any]] = load
) -> tuple[Path, dict[str, Any]]:
    """The first checkpoint that can be read; says which were skipped and why. ValueError where none can."""
    for path in paths:
        try:
            return path, read(path)
        except ValueError as error:
            log.info("skipped   %s", error)
    raise ValueError(
        f"none of the {len(paths)} checkpoints in {str(paths[0].parent)!r} can be read; to start again, name another folder"
    )
