"""Trackio: a database on this machine, or the Space or server that its variables name."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import Any

from ddpm_cli.files import user_path
from ddpm_cli.rendering.tiles import Picture
from ddpm_cli.run_folder.sink import LoggedRun, Sink, ignore
from ddpm_cli.text import without_users

QUIET = {"HF_HUB_DISABLE_TELEMETRY": "1", "GRADIO_ANALYTICS_ENABLED": "False"}
SILENT = ContextVar("SILENT", default=False)  # of a thread
REMOTE = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL")


def trackio(
    run: LoggedRun,
    *,
    project: str,
    name: str | None = None,
    folder: str | None = None,
    images: bool = False,
) -> Sink:
    """Open a run of a project. A resumed run goes on under its name."""
    package = local_trackio(folder)
    with silence():
        session = package.init(
            project,
            name or run.name,
            config=dict(run.config),
            resume="allow" if run.id else "never",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )

    def write_picture(step: int, tag: str, picture: Picture) -> None:
        session.log({tag: package.Image(picture.transpose(1, 2, 0))}, step=step)

    def close(well: bool) -> None:
        with silence():
            session.finish()

    return Sink(
        lambda step, row: session.log(dict(row), step=step),
        write_picture if images else ignore,
        close,
        id=session.id,
        place=f"project {project!r} in {remote_place() or package.TRACKIO_DIR}",
    )


@contextmanager
def silence() -> Iterator[None]:
    """Let the package print nothing in this thread; other threads and modules print as before."""
    for name, module in sys.modules.copy().items():
        if name.partition(".")[0] == "trackio":
            vars(module).setdefault("print", print_unless_silent)
    token = SILENT.set(True)
    try:
        yield
    finally:
        SILENT.reset(token)


def print_unless_silent(*values: object, **options: Any) -> None:
    """Print as the package would, if its thread may print."""
    if not SILENT.get():
        print(*values, **options)


def remote_place() -> str:
    """The Space or server that the run goes to, without the token of its address; "" if none."""
    place = next(filter(None, map(os.environ.get, REMOTE)), "")
    return without_users(place).partition("?")[0]


def local_trackio(folder: str | None) -> Any:
    """The package, which keeps runs in a folder and asks no service about the user.

    Raises ValueError if an earlier run of this process has set another folder.
    """
    os.environ.update(QUIET)
    if folder is not None:
        os.environ["TRACKIO_DIR"] = str(user_path(folder).absolute())
    package: Any = import_module("trackio")
    if folder is not None and str(package.TRACKIO_DIR) != os.environ["TRACKIO_DIR"]:
        raise ValueError(f"its folder is {package.TRACKIO_DIR} for all runs of this process")
    if not any(map(os.environ.get, REMOTE)):
        runs: Any = import_module("trackio.run")
        runs._get_default_namespace = lambda: None  # would ask Hugging Face for the user's name
    return package
