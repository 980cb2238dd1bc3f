"""The checkpoints in a run's folder: which checkpoints are kept, and which is read."""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ddpm_cli.checkpoints.file import Checkpoint, write_checkpoint
from ddpm_cli.console import fact
from ddpm_cli.files import write_atomically
from ddpm_cli.parallel import ProcessGroup

LAST, BEST = "last.pt", "best.pt"  # links to checkpoints, or copies where links are impossible
NAMES = "step_" + "[0-9]" * 8 + ".pt"
MaybeCheckpoint = TypeVar("MaybeCheckpoint", bound=Checkpoint | None)


def write_and_prune(
    folder: Path,
    content: Mapping[str, Any],
    *,
    last: int,
    every: int | None = None,
    best: bool = False,
) -> Path:
    """Write `step_*.pt`; delete all but the `last` newest and every `every` steps' checkpoints.

    `last.pt` becomes a link to the new checkpoint, and so does `best.pt` if `best` is set.
    """
    for leftover in folder.glob(".partial-*"):  # left by a killed process
        leftover.unlink()
    path = folder / f"step_{content['step']:08d}.pt"
    write_checkpoint(path, content)
    for name in [LAST, *[BEST] * best]:
        write_atomically(folder / name, lambda partial: link_or_copy(path, partial))
    paths = sorted(folder.glob(NAMES))
    later = [each for each in paths if each.name > path.name]  # damaged, or before a roll-back
    for each in later:
        each.unlink()
    for old in [each for each in paths if each not in later][:-last]:
        if every is None or int(old.stem.removeprefix("step_")) % every:
            old.unlink()
    return path


def link_or_copy(source: Path, target: Path) -> None:
    """Link a file; copy it on a file system without hard links, such as exFAT or a network's."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def newest_first(folder: Path) -> list[Path]:
    """The checkpoints in a run's folder, the checkpoint of the most steps first."""
    return sorted((folder / "checkpoints").glob(NAMES), reverse=True)


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
