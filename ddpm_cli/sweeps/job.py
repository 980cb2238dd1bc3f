"""One job of a sweep: its folder holds its state, for other and for later processes."""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ddpm_cli.config.plain_text import bounded_text, plain_json
from ddpm_cli.console import printable
from ddpm_cli.files import folders_with, save_text
from ddpm_cli.run_folder.evaluations import last_evaluations
from ddpm_cli.run_folder.numbers import Numbers, last_and_lowest
from ddpm_cli.run_folder.rows import is_drawable

STATE, LOCK = "job.json", "job.lock"
STATES = ("running", "done", "failed", "stopped")
MOST_TEXTS, LONGEST = 500, 2**17  # overrides of a command, and their characters
PATIENCE = 2  # seconds; a check whether a job is alive holds its lock for a moment


@dataclass(frozen=True)
class Job:
    """A job, its state and its numbers.

    state: one of STATES, or killed. error: why the job failed, in one line. value: the value that
    the sweeper got. last, lowest: the last and the lowest number of each metric in the job's rows.
    measured: the last evaluation of each metric. protocols: the protocol of each evaluation.
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
        """Read the job in a folder, if any, with its present numbers.

        Raises ValueError for a broken file.
        """
        path = folder / STATE
        if not path.is_file():
            return None
        try:
            content = plain_json(bounded_text(path))
            number, overrides = int(content["number"]), short_texts(content["overrides"])
            state, value = STATES[STATES.index(content["state"])], content["value"]
            (error,) = short_texts([content["error"]])
            if not (value is None or is_drawable(value)):
                raise ValueError("its value is no number")
            return cls(folder, number, overrides, state, error, value).with_numbers()
        except (ValueError, LookupError, TypeError, OverflowError) as error:
            raise ValueError(
                f"{str(path)!r} or the numbers beside it are not those of a job: {error}"
            ) from error

    def with_numbers(self) -> "Job":
        """The same job with the numbers that its folder holds now."""
        last, lowest = last_and_lowest(self.folder)
        measured, protocols = last_evaluations(self.folder)
        return replace(self, last=last, lowest=lowest, measured=measured, protocols=protocols)

    def content(self) -> dict[str, Any]:
        """The content of the job's file."""
        return {name: value for name, value in asdict(self).items() if name != "folder"}

    def score(self, metric: str) -> float | None:
        """The last evaluation of a metric, else the lowest of the job's rows."""
        return self.measured.get(metric, self.lowest.get(metric))

    @property
    def origins(self) -> dict[str, str]:
        """The protocol of each metric's score; a text for scores from the rows of training."""
        return dict.fromkeys(self.lowest, "the lowest as it trained") | self.protocols


def short_texts(values: Sequence[Any]) -> list[str]:
    """The texts of a list. Raises ValueError for more or longer texts than a sweep has."""
    texts = [str(each) for each in values]
    if len(texts) > MOST_TEXTS or sum(map(len, texts)) > LONGEST:
        raise ValueError(f"more than {MOST_TEXTS} texts, or {LONGEST:,} characters")
    return texts


def run_or_skip_job(
    job: Callable[[bool], float | None],
    folder: Path,
    number: int,
    overrides: list[str],
    *,
    sweep: Path,
    worded: Callable[[BaseException], str],
    retried: bool,
) -> float | None:
    """Run a job unless it is done, record its state in its folder, and return its value.

    job: a function of whether the job is resumed. sweep: the folder of the sweep, which the job's
    folder must lie in. worded: the text of an error in one line.
    retried: whether to run a failed job again after later jobs have begun. Raises ValueError if the
    job runs in another process, or if the folder holds a different job.
    """
    if sweep not in folder.parents:
        raise ValueError(
            f"hydra.sweep.subdir must lead into {str(sweep)!r}, not to {str(folder)!r}"
        )
    with hold_lock(folder, number):
        before = Job.read(folder)
        if before and (before.number, before.overrides) != (number, overrides):
            was = " ".join(sorted({*before.overrides} - {*overrides})) or "another"
            now = " ".join(sorted({*overrides} - {*before.overrides})) or "none of it"
            raise ValueError(
                f"job {number} was {was} and is {now}: "
                f"{str(folder)!r} holds another command's job; name another folder"
            )
        if before and before.state == "done":
            print(printable(f"job        {number} is done already, in {folder}"))
            return before.value
        if before and before.state == "failed" and not retried and has_later_job(sweep, number):
            raise ValueError(
                f"job {number} failed before, and stays so, for the sampler learned from that: "
                f"{before.error}"
            )
        state = Job(folder, number, overrides)
        return run_and_record(lambda: job(before is not None), state, worded)


def run_and_record(
    job: Callable[[], float | None], state: Job, worded: Callable[[BaseException], str]
) -> float | None:
    """Run a job, record its state at the start and at any end, and return its value."""
    save_job(state)
    try:
        value = job()
    except Exception as error:
        text = worded(error) or type(error).__name__
        save_job(replace(state, state="failed", error=text).with_numbers())
        raise
    except BaseException:
        save_job(replace(state, state="stopped").with_numbers())
        raise
    save_job(replace(state, state="done", value=value).with_numbers())
    return value


def save_job(job: Job) -> None:
    """Write the state of a job; only the first process of torchrun writes."""
    if is_first_process():
        save_text(job.folder / STATE, json.dumps(job.content(), indent=1) + "\n")


def is_first_process() -> bool:
    """Whether this process is the only one, or the first of torchrun's."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def hold_lock(folder: Path, number: int) -> Iterator[None]:
    """Hold a job's lock; the end of the process also releases the lock."""
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
    """Whether a process holds a job's lock; a link is no lock."""
    if (folder / LOCK).is_symlink():
        return False
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False


def has_later_job(sweep: Path, number: int) -> bool:
    """Whether a job with a higher number has begun."""
    return any(job.number > number for job in read_jobs(sweep))


def read_jobs(sweep: Path) -> list[Job]:
    """Read the jobs below a sweep's folder, at any depth, by number."""
    jobs = (Job.read(folder) for folder in folders_with(sweep, STATE))
    return sorted((job for job in jobs if job), key=lambda job: job.number)
