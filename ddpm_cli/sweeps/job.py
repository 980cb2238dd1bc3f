"""One job of a sweep: its state stands in its folder, so that another process, and a later one, knows what became of it."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ddpm_cli.files import save_text
from ddpm_cli.run_folder.evaluations import last_evaluations
from ddpm_cli.run_folder.numbers import Numbers, last_and_lowest

STATE, LOCK = "job.json", "job.lock"
STATES = ("running", "done", "failed", "stopped")
PATIENCE = 2  # seconds: one that looks whether a job is alive holds its lock for a moment


@dataclass(frozen=True)
class Job:
    """A job and what became of it.

    state: of STATES, or killed. error: why it failed, in a line. value: what the sweeper got. last, lowest: of the metrics of its rows.
    measured: the last evaluation of each metric. protocols: how each of these was measured.
    """

    folder: Path
    number: int
    overrides: list[str]
    state: str = "running"
    error: str = ""
    value: float | None = None
    last: Numbers = field(default_factory=dict)
    lowest: Numbers = field(default_factory=dict)
    measured: Numbers = field(default_factory=dict)
    protocols: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> "Job | None":
        """The job in a folder, with its numbers as they are now; None where there is none."""
        path = folder / STATE
        if not path.exists():
            return None
        try:
            content = json.loads(path.read_text())
            said, state = (
                [str(each) for each in content["overrides"]],
                STATES[STATES.index(content["state"])],
            )
            return cls(
                folder, int(content["number"]), said, state, str(content["error"]), content["value"]
            ).seen()
        except (ValueError, LookupError, TypeError, OverflowError, RecursionError) as error:
            raise ValueError(
                f"{str(path)!r} or the numbers beside it are not those of a job: {error}"
            ) from error

    def seen(self) -> "Job":
        """The same job with its numbers as they are now."""
        last, lowest = last_and_lowest(self.folder / "metrics.jsonl")
        measured, protocols = last_evaluations(self.folder / "evaluations.jsonl")
        return replace(self, last=last, lowest=lowest, measured=measured, protocols=protocols)

    def facts(self) -> dict[str, Any]:
        """What is written of it."""
        return {name: value for name, value in asdict(self).items() if name != "folder"}

    def score(self, metric: str) -> float | None:
        """The metric as it was measured last, else the lowest of its rows."""
        return self.measured.get(metric, self.lowest.get(metric))

    def ways(self) -> list[dict[str, str]]:
        """How each of its metrics came about."""
        found = dict.fromkeys(self.lowest, "the lowest as it trained") | self.protocols
        return [{"metric": name, "protocol": text} for name, text in found.items()]


def run_or_skip_job(
    job: Callable[[bool], float | None],
    folder: Path,
    number: int,
    overrides: list[str],
    worded: Callable[[BaseException], str],
    retried: bool,
) -> float | None:
    """What the job returns; its state is kept in its folder, and one that is done is not done again.

    job: is told whether it goes on. worded: an error in a line. retried: one that failed before others began is tried again.

    Raises ValueError for a job that runs in another process or is another one.
    """
    with hold_lock(folder, number):
        before = Job.read(folder)
        if before and (before.number, before.overrides) != (number, overrides):
            was = " ".join(sorted({*before.overrides} - {*overrides})) or "another"
            now = " ".join(sorted({*overrides} - {*before.overrides})) or "none of it"
            raise ValueError(
                f"job {number} was {was} and is {now}: {str(folder)!r} holds another command's job; name another folder"
            )
        if before and before.state == "done":
            print(f"job       {number} is done already, in {folder}")
            return before.value
        if before and before.state == "failed" and not retried and has_later_job(folder, number):
            raise ValueError(
                f"job {number} failed before, and stays so, for the sampler learned from that: {before.error}"
            )
        return run_and_record(
            lambda: job(before is not None), Job(folder, number, overrides), worded
        )


def run_and_record(
    job: Callable[[], float | None], state: Job, worded: Callable[[BaseException], str]
) -> float | None:
    """What the job returns, with its state written when it begins and when it ends, however that is."""
    save_job(state)
    try:
        value = job()
    except BaseException as error:
        failed = isinstance(error, Exception)
        text = worded(error) or type(error).__name__
        save_job(
            replace(
                state, state="failed" if failed else "stopped", error=text if failed else ""
            ).seen()
        )
        raise
    save_job(replace(state, state="done", value=value).seen())
    return value


def save_job(job: Job) -> None:
    """Writes the state of a job; of the processes of torchrun the first one does."""
    if is_first_process():
        save_text(job.folder / STATE, json.dumps(job.facts(), indent=1) + "\n")


def is_first_process() -> bool:
    """Whether this process is the only one or the first of torchrun's."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def hold_lock(folder: Path, number: int) -> Iterator[None]:
    """Holds a job's lock, which a process that is killed lets go."""
    lock = FileLock(folder / LOCK)
    try:
        if is_first_process():
            lock.acquire(timeout=PATIENCE)
    except Timeout:
        raise ValueError(
            f"job {number} is running in another process, in {str(folder)!r}"
        ) from None
    try:
        yield
    finally:
        lock.release()


def is_running(folder: Path) -> bool:
    """Whether a process holds a job's lock."""
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def has_later_job(folder: Path, number: int) -> bool:
    """Whether a later job has begun."""
    return any(
        (found := Job.read(path.parent)) and found.number > number
        for path in folder.parent.glob(f"*/{STATE}")
    )
