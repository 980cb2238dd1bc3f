"""The logger of a training run: rows of numbers and pictures, in files and for other loggers."""

import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ddpm_cli.files import append_text, load_text, save_text, user_path
from ddpm_cli.hardware import full_memory_text, is_out_of_memory
from ddpm_cli.rendering.tiles import Picture, save_png
from ddpm_cli.run_folder.layout import INCIDENTS, METRICS, SAMPLES
from ddpm_cli.run_folder.logging_thread import CLOSE_SECONDS, OPEN_SECONDS, LoggingThread
from ddpm_cli.run_folder.run_ids import read_run_id
from ddpm_cli.run_folder.sink import LoggedRun, Logger, Sink

NO_OPTIONS: Mapping[str, Any] = {}
log = logging.getLogger(__name__)


@dataclass
class RunLogger:
    """The rows and the pictures of one run, in `folder` and for each of the loggers of the user.

    writes: whether this process writes; only the first process does. A full disk does not end the
    run: rows wait in `unwritten` for the disk; pictures are lost with a warning.
    """

    folder: Path
    writes: bool = True
    threads: list[LoggingThread] = field(default_factory=list)
    unwritten: dict[str, list[str]] = field(default_factory=dict)

    def open(
        self,
        step: int,
        loggers: Mapping[str, Logger] = NO_OPTIONS,
        config: Mapping[str, Any] = NO_OPTIONS,
    ) -> "RunLogger":
        """Begin at `step`: cut the rows that an earlier process wrote after it. Raises OSError.

        loggers: the user's loggers by their names. config: the configuration that they get.
        """
        if self.writes:
            for name in (METRICS, SAMPLES, INCIDENTS):
                cut_rows(self.folder / name, step)
            for name, logger in loggers.items():
                known = read_run_id(self.folder, name) if step else None
                run = LoggedRun(run_name(self.folder), self.folder, config, step, known)
                self.threads.append(LoggingThread(name, logger, run))
                self.threads[-1].begin()
            deadline = time.monotonic() + OPEN_SECONDS  # workers are best forked after the imports
            for each in self.threads:
                each.was_tried.wait(max(0.0, deadline - time.monotonic()))
                while each.run.preparing.is_set():
                    each.was_tried.wait(0.1)
        return self

    def rewind(self, step: int) -> None:
        """Go back to `step`: cut the numbers after the step, but keep the incidents."""
        for name in (METRICS, SAMPLES):
            waiting = self.unwritten.get(name, [])
            waiting[:] = [row for row in waiting if json.loads(row)["step"] <= step]
            self.attempt(partial(cut_rows, self.folder / name, step))
        for each in self.threads:
            each.rewind(step)

    def write_numbers(self, step: int, row: Mapping[str, float]) -> None:
        """Write one row of numbers; a number that is not finite becomes null."""
        finite = {name: each if math.isfinite(each) else None for name, each in row.items()}
        self.write_row(METRICS, {"step": step, **finite})
        self.show(step, lambda sink: sink.write_numbers(step, row))

    def record_full_memory(self, step: int, error: BaseException) -> None:
        """Add an incident if an error says that a memory is full."""
        if is_out_of_memory(error):
            self.write_row(INCIDENTS, {"step": step, "error": full_memory_text(error)})

    def write_row(self, name: str, row: Mapping[str, object]) -> None:
        """Add a row to a file, after the rows that wait to be written."""
        self.unwritten.setdefault(name, []).append(json.dumps(row) + "\n")
        self.flush()

    def flush(self) -> None:
        """Write the rows that wait."""
        for name, waiting in self.unwritten.items():
            if waiting and self.attempt(partial(append_text, self.folder / name, "".join(waiting))):
                waiting.clear()

    def write_picture(self, path: str, picture: Picture, step: int) -> None:
        """Write one picture; its folder or its name becomes its tag."""
        tag = path.partition("/")[0].removesuffix(".png")
        self.attempt(lambda: save_png(self.folder / path, picture))
        self.show(step, lambda sink: sink.write_picture(step, tag, picture))

    def show(self, step: int, write: Callable[[Sink], object]) -> None:
        """Hand an event to all loggers."""
        for each in self.threads:
            each.write(step, write)

    def close(self, *, well: bool = True) -> None:
        """Write the rows that wait, and close the loggers. well: whether the run ended well."""
        self.flush()
        deadline = time.monotonic() + CLOSE_SECONDS
        for each in self.threads:
            each.end(well=well)
        while self.threads:
            self.threads.pop().join(deadline)

    def attempt(self, write: Callable[[], object]) -> bool:
        """Try to write; return whether the disk accepted the data. A failure causes a warning."""
        if not self.writes:
            return True
        try:
            write()
        except OSError as error:
            reason = error.strerror or error
            log.warning("warning: cannot write into %s: %s; training goes on", self.folder, reason)
            return False
        return True


def run_name(folder: Path) -> str:
    """The name of a run: its folder's, with the folder above if the name alone has no letter.

    The home folder, whose name is the user's, is called `run`.
    """
    folder, home = folder.absolute(), user_path("~").resolve()
    name, above = (
        "run" if each.resolve() == home else each.name for each in (folder, folder.parent)
    )
    return name if any(each.isalpha() for each in name) else f"{above}_{name}"


def cut_rows(path: Path, step: int) -> None:
    """Cut the rows after `step`, and an unfinished last row.

    Raises ValueError for a row without a step.
    """
    if not path.is_file():
        return
    rows = [row for row in load_text(path).splitlines(keepends=True) if row.endswith("\n")]
    earlier = []
    for row in rows:
        try:
            earlier += [row] * (int(json.loads(row)["step"]) <= step)
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise ValueError(f"{str(path)!r} has a row without a step: {row[:60]!r}") from error
    save_text(path, "".join(earlier))
