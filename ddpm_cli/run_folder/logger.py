"""The logger of a training run: rows of numbers and pictures, in files and for TensorBoard."""

import json
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from ddpm_cli.files import append_text, load_text, save_text
from ddpm_cli.hardware import full_memory_text, is_out_of_memory
from ddpm_cli.rendering.tiles import Picture, save_png
from ddpm_cli.run_folder.layout import INCIDENTS, METRICS, SAMPLES, TENSORBOARD

log = logging.getLogger(__name__)


@dataclass
class RunLogger:
    """The rows, the pictures and the TensorBoard events of one run in `folder`.

    writes: whether this process writes; only the first process does. A full disk does not end the
    run: rows wait in `unwritten` for the disk; pictures and events are lost with a warning.
    """

    folder: Path
    writes: bool = True
    tensorboard: SummaryWriter | None = None
    unwritten: dict[str, list[str]] = field(default_factory=dict)

    def open(self, step: int) -> "RunLogger":
        """Begin at `step`: cut the rows that an earlier process wrote after it. Raises OSError."""
        if self.writes:
            for name in (METRICS, SAMPLES, INCIDENTS):
                cut_rows(self.folder / name, step)
            self.board(step)
        return self

    def rewind(self, step: int) -> None:
        """Go back to `step`: cut the numbers after the step, but keep the incidents."""
        for name in (METRICS, SAMPLES):
            waiting = self.unwritten.get(name, [])
            waiting[:] = [row for row in waiting if json.loads(row)["step"] <= step]
            self.attempt(partial(cut_rows, self.folder / name, step))
        self.close()
        self.show(lambda tensorboard: None, step)

    def write_numbers(self, step: int, row: Mapping[str, float]) -> None:
        """Write one row of numbers; a number that is not finite becomes null."""
        finite = {name: each if math.isfinite(each) else None for name, each in row.items()}
        self.write_row(METRICS, {"step": step, **finite})

        def write(board: SummaryWriter) -> None:
            for name, number in row.items():
                board.add_scalar(name, number, step)

        self.show(write)

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
        """Write one picture; its folder or its name becomes its tag in TensorBoard."""
        tag = path.partition("/")[0].removesuffix(".png")
        self.attempt(lambda: save_png(self.folder / path, picture))
        self.show(lambda board: board.add_image(tag, picture, step))
        self.show(lambda board: board.flush())

    def show(self, write: Callable[[SummaryWriter], object], step: int = 0) -> None:
        """Write for TensorBoard; after an error, the next event opens the writer anew."""
        if not self.attempt(lambda: write(self.board(step))):
            self.tensorboard = None

    def board(self, step: int) -> SummaryWriter:
        """TensorBoard's writer, opened at `step` if it is not open."""
        if self.tensorboard is None:
            purge = step + 1 if step else None
            self.tensorboard = SummaryWriter(str(self.folder / TENSORBOARD), purge_step=purge)
        return self.tensorboard

    def close(self) -> None:
        """Write the rows that wait, and close TensorBoard's file."""
        self.flush()
        if self.tensorboard is not None:
            self.attempt(self.tensorboard.close)
        self.tensorboard = None

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


def cut_rows(path: Path, step: int) -> None:
    """Cut the rows after `step`, and an unfinished last row.

    Raises ValueError for a row without a step.
    """
    if not path.is_file():
        return
    rows = [row for row in load_text(path).splitlines(keepends=True) if row.endswith("\n")]
    kept = []
    for row in rows:
        try:
            kept += [row] * (int(json.loads(row)["step"]) <= step)
        except (ValueError, LookupError, TypeError, RecursionError) as error:
            raise ValueError(f"{str(path)!r} has a row without a step: {row[:60]!r}") from error
    save_text(path, "".join(kept))
