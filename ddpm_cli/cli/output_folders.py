"""The folder that a command writes: whose it is, what run it holds, and whether it stays."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from ddpm_cli.checkpoint_paths import existing_file, newest_first, run_of, run_there_text
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.files import user_path
from ddpm_cli.run_folder.overrides import command_to_go_on, typed_overrides

NAMED_BY = ("hydra.run.dir=", "hydra.sweep.dir=")
NAMING = ("data", "experiment")  # the options that name images


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


def check_resumption(resume: str | None, invocation: Invocation) -> None:
    """Refuse a new run in the folder of another, and a resumed run without the images it saw.

    The process group decides for itself under torchrun, which restarts processes, and a job of a
    sweep by its state. Raises ValueError with the command that goes on with the run.
    """
    if "RANK" in os.environ or HydraConfig.get().mode == RunMode.MULTIRUN:
        return
    if resume is None:
        if newest := newest_first(invocation.folder):
            raise ValueError(run_there_text(invocation.folder, newest[0]))
        return
    automatic = resume == "auto"
    folder = invocation.folder if automatic else run_of(existing_file(user_path(resume)))
    images = [each for each in typed_overrides(folder) if each.startswith("data=")]
    names_some = any(each.lstrip("+~").startswith(NAMING) for each in invocation.overrides)
    is_default = images[-1:] in ([], ["data=digits"]) or invocation.config_dir is not None
    if not (is_default or names_some):
        command = command_to_go_on(folder)
        raise ValueError(f"the run was begun with {images[-1]}; it goes on with: {command}")
