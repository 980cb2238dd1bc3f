"""Launch a command in several processes of this machine, by torch's elastic launch."""

import json
import logging
import os
import signal
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.distributed as dist
import yaml
from omegaconf.errors import OmegaConfBaseException
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from ddpm_cli.config.process_limit import check_processes
from ddpm_cli.console import fact, outliving_readers, printable
from ddpm_cli.files import load_text
from ddpm_cli.hardware import set_workspace
from ddpm_cli.parallel.group import EchoError
from ddpm_cli.process.stop_signals import UNSAVED, NothingToSaveError, stop_signals

PATIENCE = 300  # seconds, longer than a step and a checkpoint take
AGENTS = [
    logging.getLogger(name) for name in ("torch.distributed.elastic", "torch.multiprocessing.spawn")
]
ECHO = f"{EchoError.__name__}: "
BEGUN_MARK, FINISHED_MARK = "begun", "finished"  # empty files for the parent process


def process_count(asked: int | str, device: str, option: str = "processes") -> int:
    """The number of processes to launch: `auto` is one for each GPU, and one on Windows.

    Raises ValueError if the `option` asks for more than this machine can hold, or for several on
    Windows, which has no signals to stop them.
    """
    if asked == "auto":
        has_gpus = device in ("auto", "cuda") and sys.platform != "win32"
        return max(1, torch.cuda.device_count()) if has_gpus else 1
    if int(asked) > 1 and sys.platform == "win32":
        raise ValueError(f"{option} must be 1 on Windows, but is {asked}")
    check_processes(option, int(asked))
    return int(asked)


def run_in_processes(
    count: int, job: Callable[..., bool], *args: Any, folder_is_named: bool
) -> bool:
    """Call job(*args) in `count` processes; in this process if count <= 1 or under torchrun.

    One process returns the job's result. Several return True, or False after a signal. Raises
    ValueError with the message of the process that failed first. Raises KeyboardInterrupt if a
    process could not stop after a signal, NothingToSaveError if none had begun.
    """
    set_workspace()
    launched = dist.is_torchelastic_launched()
    if launched and int(os.environ["WORLD_SIZE"]) > 1 and not folder_is_named:
        # Each process would make a folder of its own.
        raise ValueError(
            "processes started by torchrun need one folder: name it with hydra.run.dir=FOLDER"
        )
    if count <= 1 or launched:
        return job(*args)
    fact("processes", f"starting {count} on this machine")
    with TemporaryDirectory() as folder, quiet_agent():
        threads = max(1, torch.get_num_threads() // count)
        try:
            elastic_launch(launch_config(count, folder), run_rank)(threads, job, args)
        except SignalException:
            if not list(Path(folder).rglob(FINISHED_MARK)):
                print(f"error: {printable(unfinished_reason(Path(folder)))}", file=sys.stderr)
                has_begun = list(Path(folder).rglob(BEGUN_MARK))
                raise (KeyboardInterrupt if has_begun else NothingToSaveError) from None
            return False
        except ChildFailedError as error:
            raise ValueError(failure_text(error)) from None
    return True


def launch_config(count: int, folder: str) -> LaunchConfig:
    """The settings of torch's elastic launch; `folder` holds the processes' error reports."""
    patience = dict[str, Any]()
    if "shutdown_timeout" in LaunchConfig.__dataclass_fields__:  # not in torch 2.11
        patience["shutdown_timeout"] = PATIENCE
    return LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        signals_to_handle=",".join(each.name for each in stop_signals()),
        logs_specs=DefaultLogsSpecs(log_dir=folder),
        **patience,
    )


def run_rank(threads: int, job: Callable[..., object], args: tuple[Any, ...]) -> None:
    """Call the job in a launched process; a user's error reaches the parent in one line."""
    torch.set_num_threads(threads)
    try:
        with outliving_readers():
            job(*args)
    except (OSError, OmegaConfBaseException, yaml.YAMLError) as error:
        raise ValueError(str(error)) from error


def unfinished_reason(folder: Path) -> str:
    """The reason why processes did not finish after a signal."""
    reports = [
        json.loads(load_text(path))["message"]["message"] for path in folder.rglob("error.json")
    ]
    causes = [text for kind, text in map(split_failure, reports) if kind == "ValueError"]
    return next(iter(causes), UNSAVED)


def mark_begun() -> None:
    """Record that the run has begun, so that a stop does not remove its folder."""
    mark_launch(BEGUN_MARK)


def mark_resumable() -> None:
    """Record that the run can be resumed from its stored state if it is stopped now."""
    mark_launch(FINISHED_MARK)


def mark_launch(name: str) -> None:
    """Leave a mark for the parent process, if a parent launched this process."""
    if report := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        Path(report).with_name(name).touch()


def failure_text(error: ChildFailedError) -> str:
    """Word the failure of the process that failed first; print an internal error's traceback."""
    rank, failure = min(error.failures.items(), key=lambda each: failure_order(each[1]))
    if not isinstance(failure.message, dict):
        return f"process {rank} ended: {failure.message}"
    kind, text = split_failure(failure.message["message"])
    if kind == "ValueError":
        return text
    for line in failure.message["extraInfo"]["py_callstack"].split("\n"):
        print(printable(line), file=sys.stderr)
    return f"process {rank} failed: {kind}: {text}"


def split_failure(message: str) -> tuple[str, str]:
    """The kind and the text of an error; an EchoError holds the first failure's kind and text."""
    kind, _, text = message.removeprefix(ECHO).partition(": ")
    return kind, text


def failure_order(failure: ProcessFailure) -> int:
    """0 for a killed process, because its end makes the others fail; 2 for an echo; else 1."""
    if not isinstance(failure.message, dict):
        return 0
    return 2 if failure.message["message"].startswith(ECHO) else 1


@contextmanager
def quiet_agent() -> Iterator[None]:
    """Silence the loggers of torch's agent, and restore the signal handlers afterwards."""
    before = {number: signal.getsignal(number) for number in stop_signals()}
    silence = logging.NullHandler()
    for agent in AGENTS:
        agent.propagate = False
        agent.addHandler(silence)
    try:
        yield
    finally:
        for agent in AGENTS:
            agent.removeHandler(silence)
            agent.propagate = True
        for number, handler in before.items():
            signal.signal(number, handler)


def exit_now() -> None:
    """End this process with code 0.

    After a signal, a normal return would deadlock with the agent, which waits for this process.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
