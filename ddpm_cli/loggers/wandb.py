"""Weights & Biases: a server's project, or files in the run's folder for `wandb sync`."""

import os
from importlib import import_module
from secrets import token_hex
from typing import Any, Literal

from ddpm_cli.rendering.tiles import Picture
from ddpm_cli.run_folder.sink import LoggedRun, Numbers, Sink, ignore

FINISH_SECONDS = 25.0  # for the upload of what is left; then `wandb sync` sends the rest
QUIET = {"WANDB_ERROR_REPORTING": "false"}  # no reports of errors to the package's makers
SETTINGS = {  # without what the package would send of the machine and of the user's code
    "silent": True,
    "host": "",
    "disable_code": True,
    "disable_git": True,
    "save_code": False,
    "console": "off",
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
    "reinit": "create_new",
    "finish_timeout": FINISH_SECONDS,
}


def wandb(
    run: LoggedRun,
    *,
    project: str,
    name: str | None = None,
    mode: Literal["auto", "online", "offline"] = "auto",
    images: bool = False,
) -> Sink:
    """Open a run of a project. Without a key the run is offline; a key is never asked for.

    The axis of charts is the number `step`, because the package's own steps cannot go back.
    """
    package = silent_wandb()
    session = package.init(
        project=project,
        name=name or run.name,
        id=run.id or token_hex(8),
        resume="allow",
        mode=mode if mode != "auto" else possible_mode(package),
        dir=str(run.folder),
        config=dict(run.config),
        allow_val_change=True,
        settings=package.Settings(**SETTINGS),
    )
    session.define_metric("*", step_metric="step")

    def write_numbers(step: int, row: Numbers) -> None:
        session.log({**row, "step": step})

    def write_picture(step: int, tag: str, picture: Picture) -> None:
        image: Any = package.Image(picture.transpose(1, 2, 0))
        session.log({tag: image, "step": step})

    return Sink(
        write_numbers,
        write_picture if images else ignore,
        close=lambda well: session.finish(exit_code=0 if well else 1),
        id=session.id,
        place=session.url or f"offline; send it by: wandb sync {session.settings.sync_dir}",
    )


def silent_wandb() -> Any:
    """The package, which prints nothing, asks for nothing, and keeps no record of its own use."""
    os.environ.update(QUIET)
    package: Any = import_module("wandb")
    package.Run._telemetry_flush = ignore  # there is no setting for the record
    package.setup(package.Settings(**SETTINGS))
    return package


def possible_mode(package: Any) -> str:
    """The mode that WANDB_MODE names, else online if there is a key, else offline."""
    return os.environ.get("WANDB_MODE") or ("online" if package.login(prompt=False) else "offline")
