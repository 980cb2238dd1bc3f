"""The checkpoints in a run's folder: which checkpoints are kept, and which is read."""

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ddpm_cli.checkpoint_paths import BEST, CHECKPOINTS, LAST, OLD, SUFFIX, newest_first
from ddpm_cli.checkpoints.checkpoint import Checkpoint, write_checkpoint
from ddpm_cli.console import fact
from ddpm_cli.files import write_atomically
from ddpm_cli.parallel import ProcessGroup

MaybeCheckpoint = TypeVar("MaybeCheckpoint", bound=Checkpoint | None)


def write_and_prune(
    folder: Path, checkpoint: Checkpoint, *, last: int, every: int | None = None, best: bool = False
) -> Path:
    """Write a run's checkpoint; delete all but the `last` newest and every `every` steps'.

    `last` becomes a link to the new checkpoint, and so does `best` if it is the best.
    """
    checkpoints = folder / CHECKPOINTS
    for pattern in (".partial-*", ".tmp*"):  # left by a killed process, ours and the library's
        for leftover in checkpoints.glob(pattern):
            leftover.unlink()
    path = checkpoints / f"step_{checkpoint.step:08d}{SUFFIX}"
    write_checkpoint(path, checkpoint)
    for name in (LAST, BEST) if best else (LAST,):
        write_atomically(path.with_stem(name), lambda partial: link_or_copy(path, partial))
        before = checkpoints / f"{name}{OLD}"
        if before.is_file() and before.stat().st_nlink > 1:  # a link; an only copy stays
            before.unlink()
    path.with_suffix(OLD).unlink(missing_ok=True)
    paths = newest_first(folder)[::-1]
    later = [each for each in paths if each.stem > path.stem]  # damaged, or before a roll-back
    for each in later:
        each.unlink()
    for old in [each for each in paths if each not in later][:-last]:
        if every is None or int(old.stem.removeprefix("step_")) % every:
            old.unlink()
    return path


def link_or_copy(source: Path, target: Path) -> None:
    """Link a file; copy it on a file system without hard links, such as exFAT or a network's."""
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def newest_readable(
    paths: Sequence[Path], read: Callable[[Path], Checkpoint] = Checkpoint.load
) -> Checkpoint:
    """Read the first readable checkpoint; log why others fail. Raises ValueError if all fail."""
    for path in paths:
        try:
            return read(path)
        except ValueError as error:
            fact("skipped", error)
    raise ValueError(
        f"none of the {len(paths)} checkpoints in {str(paths[0].parent)!r} can be read; "
        "to start again, name another folder"
    )


def agree_on_checkpoint(
    group: ProcessGroup, find: Callable[[], MaybeCheckpoint]
) -> MaybeCheckpoint:
    """Read, in every process, the checkpoint that the first process finds."""
    checkpoint: Any = find() if group.rank == 0 else None
    path = group.broadcast(checkpoint and checkpoint.path)
    agreed: Any = checkpoint or (path and Checkpoint.load(path))
    return agreed
