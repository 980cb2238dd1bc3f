"""Several processes on this machine from one command, by torch's elastic launch; and the end of one that was asked to stop."""

import json
import logging
import os
import signal
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
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

from ddpm_cli.parallel.group import EchoError, launched_rank

PATIENCE = 300  # seconds: longer than a step and a checkpoint take
AGENTS = [
    logging.getLogger(name) for name in ("torch.distributed.elastic", "torch.multiprocessing.spawn")
]
ECHO = f"{EchoError.__name__}: "
FINISHED = "finished"
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


def check_folder_is_named(named: bool) -> None:
    """Refuses processes of torchrun that would each make a folder of their own."""
    if launched_rank()[1] > 1 and not named:
        raise ValueError(
            "processes started by torchrun need one folder: name it with hydra.run.dir=FOLDER"
        )


def process_count(asked: int | str, device: str) -> int:
    """How many processes are asked for: `auto` is one for each GPU."""
    if asked == "auto":
        return max(1, torch.cuda.device_count()) if device in ("auto", "cuda") else 1
    return int(asked)


def run_in_processes(count: int, job: Callable[..., bool], *args: Any, **options: Any) -> bool:
    """Calls job(*args, **options) in `count` processes of this machine, or in this one where that is one or was launched itself.

    What the job returns in one process; of several True, or False where a signal asked them to stop.

    Raises ValueError with the message of the one that failed first, KeyboardInterrupt where one could not stop as asked.
    """
    if count <= 1 or dist.is_torchelastic_launched():
        return job(*args, **options)
    with TemporaryDirectory() as folder, quiet_agent():
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=0,
            signals_to_handle=",".join(each.name for each in SIGNALS),
            shutdown_timeout=PATIENCE,
            logs_specs=DefaultLogsSpecs(log_dir=folder),
        )
        try:
            elastic_launch(config, run_rank)(
                max(1, torch.get_num_threads() // count), job, args, options
            )
        except SignalException:
            if not list(Path(folder).rglob(FINISHED)):
                print(f"error: {unfinished_reason(Path(folder))}", file=sys.stderr)
                raise KeyboardInterrupt from None
            return False
        except ChildFailedError as error:
            raise ValueError(failure_text(error)) from None
    return True


def run_rank(
    threads: int, job: Callable[..., object], args: tuple[Any, ...], options: Mapping[str, Any]
) -> None:
    """One of the processes: what the user did wrong arrives at the parent in one line."""
    torch.set_num_threads(threads)
    try:
        job(*args, **options)
    except (OSError, OmegaConfBaseException, yaml.YAMLError) as error:
        raise ValueError(str(error)) from error


def unfinished_reason(folder: Path) -> str:
    """Why processes that were asked to stop did not end well."""
    reports = [
        json.loads(path.read_text())["message"]["message"] for path in folder.rglob("error.json")
    ]
    causes = [text for kind, text in map(split_failure, reports) if kind == "ValueError"]
    return next(iter(causes), "stopped before there was anything to save")


def mark_finished() -> None:
    """Leaves a mark that this process has saved what was to be saved."""
    if report := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        Path(report).with_name(FINISHED).touch()


def failure_text(error: ChildFailedError) -> str:
    """The message of the process that failed first; of what is no mistake of the user's the traceback is shown, once."""
    rank, failure = min(error.failures.items(), key=lambda each: failure_order(each[1]))
    if not isinstance(failure.message, dict):
        return f"process {rank} ended: {failure.message}"
    kind, text = split_failure(failure.message["message"])
    if kind == "ValueError":
        return text
    print(failure.message["extraInfo"]["py_callstack"], file=sys.stderr)
    return f"process {rank} failed: {kind}: {text}"


def split_failure(message: str) -> tuple[str, str]:
    """The kind of an error and what it says, an echo's being those of the first."""
    kind, _, text = message.removeprefix(ECHO).partition(": ")
    return kind, text


def failure_order(failure: ProcessFailure) -> int:
    """What came first: one that was killed, for the others lose their connection to it; echoes come last."""
    if not isinstance(failure.message, dict):
        return 0
    return 2 if failure.message["message"].startswith(ECHO) else 1


@contextmanager
def quiet_agent() -> Iterator[None]:
    """Keeps torch's agent from telling what is told here; its handlers of signals are gone afterwards."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
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
    """Ends this process at once and well: one that returns after a signal waits for the agent, which waits for it."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
