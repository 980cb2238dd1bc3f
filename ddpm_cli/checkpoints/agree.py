"""One choice of a checkpoint for all processes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ddpm_cli import checkpoints
from ddpm_cli.parallel import ProcessGroup

Found = TypeVar("Found", bound=tuple[Path, dict[str, Any]] | None)


def agree_on_checkpoint(ranks: ProcessGroup, find: Callable[[], Found]) -> Found:
    """The checkpoint that the first process finds, read by every one."""
    found: Any = find() if ranks.first else None
    path = ranks.shared(found and found[0])
    both: Any = found or (path and (path, checkpoints.load(path)))
    return both
