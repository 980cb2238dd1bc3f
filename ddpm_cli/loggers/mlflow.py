"""MLflow: a database on this machine, or a tracking server."""

import logging
import os
import time
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any
from urllib.parse import urlsplit

from ddpm_cli.config.values import yaml_text
from ddpm_cli.console import fact
from ddpm_cli.loggers.sent_config import flat_options
from ddpm_cli.rendering.tiles import Picture
from ddpm_cli.run_folder.sink import LoggedRun, Numbers, Sink, ignore
from ddpm_cli.text import without_users

QUIET = {  # no reports of usage to the package's makers, no lines about tables and uploads
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
SQLITE = "sqlite:///"
DEFAULT_URI = f"{SQLITE}mlflow.db"
LONGEST, AT_ONCE = 5000, 100  # characters of a parameter; parameters of one request
UNKNOWN_RUN = "RESOURCE_DOES_NOT_EXIST"


def mlflow(
    run: LoggedRun,
    *,
    project: str,
    name: str | None = None,
    uri: str | None = None,
    images: bool = False,
) -> Sink:
    """Open a run of an experiment. No tag names the user, the machine or the code.

    A resumed run keeps its parameters, because MLflow never changes one.
    """
    where = uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    make_database(where, run.preparing)
    client, entities = quiet_client(where), import_module("mlflow.entities")
    run_id = run.id if run.id and is_there(client, run.id) else None
    if run_id is None:
        run_id = new_run(client, project, name or run.name, run)
    else:
        client.update_run(run_id, status="RUNNING")

    def write_numbers(step: int, row: Numbers) -> None:
        now = int(1000 * time.time())
        metrics = [entities.Metric(key, number, now, step) for key, number in row.items()]
        client.log_batch(run_id, metrics=metrics)

    def write_picture(step: int, tag: str, picture: Picture) -> None:
        client.log_image(run_id, picture.transpose(1, 2, 0), key=tag, step=step)

    return Sink(
        write_numbers,
        write_picture if images else ignore,
        close=lambda well: client.set_terminated(run_id, "FINISHED" if well else "FAILED"),
        id=run_id,
        place=f"experiment {project!r} in {without_users(where)}",
    )


def make_database(uri: str, preparing: Event) -> None:
    """Make the SQLite database of an address if there is none; `preparing` is set meanwhile.

    It has another name until it is whole: the half-made database of a process that was killed
    would take no later run.
    """
    path = Path(uri.removeprefix(SQLITE))
    if not uri.startswith(SQLITE) or "?" in uri or not path.parent.is_dir() or path.exists():
        return
    preparing.set()
    try:
        fact("mlflow", f"makes the database {path}, once; training waits for it")
        with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
            made = Path(folder, path.name)
            quiet_client(f"{SQLITE}{made}").search_experiments(max_results=1)
            if made.exists() and not path.exists():
                made.replace(path)
    finally:
        preparing.clear()


def quiet_client(uri: str) -> Any:
    """A client of a database or a server, which logs no line for each attempt."""
    os.environ.update(QUIET)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    return import_module("mlflow").MlflowClient(tracking_uri=uri)


def new_run(client: Any, project: str, name: str, run: LoggedRun) -> str:
    """Create a run with the configuration as its parameters; return the run's id."""
    known, param = client.get_experiment_by_name(project), import_module("mlflow.entities").Param
    experiment = known.experiment_id if known else client.create_experiment(project)
    run_id: str = client.create_run(experiment, run_name=name).info.run_id
    options = flat_options(run.config).items()
    params = [param(key, yaml_text(value)[:LONGEST]) for key, value in options]
    for start in range(0, len(params), AT_ONCE):
        client.log_batch(run_id, params=params[start : start + AT_ONCE])
    return run_id


def check_uri(uri: str) -> None:
    """Refuse a folder, and a password that checkpoints would keep. Raises ValueError."""
    if ("://" not in uri and not uri.startswith("databricks")) or uri.startswith("file:"):
        allowed = "sqlite:///FILE or the address of a server, as MLflow 3 keeps no runs in folders"
        raise ValueError(f"logger.mlflow.uri must be {allowed}, but is {uri!r}")
    if urlsplit(uri).password:
        remedy = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_URI"
        raise ValueError(f"logger.mlflow.uri must hold no password; set {remedy}")


def is_there(client: Any, run_id: str) -> bool:
    """Whether a run of this id is there and not deleted."""
    try:
        return bool(client.get_run(run_id).info.lifecycle_stage == "active")
    except import_module("mlflow.exceptions").MlflowException as error:
        if error.error_code != UNKNOWN_RUN:
            raise
        return False
