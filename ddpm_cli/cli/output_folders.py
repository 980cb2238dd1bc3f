"""The folder that a command writes: whether the user has made it, and whether it stays."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ddpm_cli.files import user_path

NAMED_BY = ("hydra.run.dir=", "hydra.sweep.dir=")


def named_folders(arguments: Sequence[str]) -> list[Path]:
    """The folders that the user has made and named for what the command writes."""
    names = [each.partition("=")[2].strip("'\"") for each in arguments if each.startswith(NAMED_BY)]
    return [path for name in names if os.path.isdir(path := user_path(name).absolute())]


def remove_if_empty(folder: Path, of_user: Sequence[Path]) -> None:
    """Remove an empty folder, and under outputs/ the folder of its day and outputs/ itself.

    of_user: the folders that stay, which the user has made.
    """
    here = Path.cwd()
    if folder.absolute() in (here, *here.parents, *of_user):
        return
    with suppress(OSError):
        folder.rmdir()
        if folder.parent.parent.name == "outputs":
            folder.parent.rmdir()
            folder.parent.parent.rmdir()
