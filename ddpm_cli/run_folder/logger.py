"""What a training run writes as it goes: numbers and pictures, in files and for TensorBoard."""

import json
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from ddpm_cli.files import save_text
from ddpm_cli.rendering.tiles import save_png
from ddpm_cli.shapes import Picture

log = logging.getLogger(__name__)


@dataclass
class RunLogger:
    """The log of one run in `folder`: `metrics.jsonl`, `samples.jsonl`, `incidents.jsonl`, `tensorboard/` and pictures.

    Of several processes the first one writes. A full disk ends no run: rows wait in `unwritten` until the disk takes them,
    pictures and TensorBoard's go missing, and it is told.
    """

    folder: Path
    tensorboard: SummaryWriter | None
    writes: bool = True
    unwritten: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def opened(cls, folder: Path, step: int, writes: bool = True) -> "RunLogger":
        """The journal from `step` on: what was written after it, by a run that went on, is cut."""
        if not writes:
            return cls(folder, None, writes=False)
        for name in ("metrics.jsonl", "samples.jsonl", "incidents.jsonl"):
            cut_rows(folder / name, step)
        return cls(folder, tensorboard_writer(folder, step))

    def cut(self, step: int) -> None:
        """Goes back to `step`: its numbers after it are cut, its incidents stay."""
        for name in ("metrics.jsonl", "samples.jsonl"):
            waiting = self.unwritten.get(name, [])
            waiting[:] = [row for row in waiting if json.loads(row)["step"] <= step]
            self.attempt(partial(cut_rows, self.folder / name, step))
        self.close()
        self.show(lambda tensorboard: None, step)

    def numbers(self, step: int, row: Mapping[str, float]) -> None:
        """Writes one row of numbers; what is not finite is null, for JSON has no word for it."""

        def write(tensorboard: SummaryWriter) -> None:
            for name, number in row.items():
                tensorboard.add_scalar(name, number, step)

        self.row(
            "metrics.jsonl",
            {
                "step": step,
                **{name: number if math.isfinite(number) else None for name, number in row.items()},
            },
        )
        self.show(write)

    def row(self, name: str, row: Mapping[str, object]) -> None:
        """Adds a row to a file of rows, after those that are still to be written."""
        self.unwritten.setdefault(name, []).append(json.dumps(row) + "\n")
        self.flush()

    def flush(self) -> None:
        """Writes the rows that wait."""
        for name, waiting in self.unwritten.items():
            if waiting and self.attempt(partial(append_text, self.folder / name, "".join(waiting))):
                waiting.clear()

    def picture(self, path: str, picture: Picture, step: int) -> None:
        """Writes one picture; its folder or name is its tag in TensorBoard."""

        def write(tensorboard: SummaryWriter) -> None:
            tensorboard.add_image(path.partition("/")[0].removesuffix(".png"), picture, step)
            tensorboard.flush()

        self.attempt(lambda: save_png(self.folder / path, picture))
        self.show(write)

    def show(self, write: Callable[[SummaryWriter], None], step: int = 0) -> None:
        """Has something written for TensorBoard, whose writer does not outlive an error and is opened anew at the next."""

        def attempted() -> None:
            self.tensorboard = self.tensorboard or tensorboard_writer(self.folder, step)
            write(self.tensorboard)

        if not self.attempt(attempted):
            self.tensorboard = None

    def close(self) -> None:
        """Writes what waits, and closes TensorBoard's file."""
        self.flush()
        if self.tensorboard is not None:
            self.attempt(self.tensorboard.close)
        self.tensorboard = None

    def attempt(self, write: Callable[[], object]) -> bool:
        """Whether the disk took it; where not, it is told."""
        if not self.writes:
            return True
        try:
            write()
        except OSError as error:
            log.warning(
                "warning: cannot write into %s: %s; training goes on",
                self.folder,
                error.strerror or error,
            )
            return False
        return True


def tensorboard_writer(folder: Path, step: int) -> SummaryWriter:
    """TensorBoard's writer from `step` on."""
    return SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else None)


def cut_rows(path: Path, step: int) -> None:
    """Cuts the rows after `step`, and a last one that was never finished."""
    if path.is_file():
        rows = path.read_text().splitlines(keepends=True)
        save_text(
            path, "".join(row for row in rows if row.endswith("\n") and step_of(row, path) <= step)
        )


def step_of(row: str, path: Path) -> int:
    """The step of a row; ValueError where it has none."""
    try:
        return int(json.loads(row)["step"])
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} has a row without a step: {row[:60]!r}") from error


def append_text(path: Path, text: str) -> None:
    """Adds a text to a file, all of it or nothing."""
    with path.open("ab", buffering=0) as file:
        size = file.tell()
        try:
            if file.write(text.encode()) < len(text.encode()):
                raise OSError("the disk is full")
        except OSError:
            file.truncate(size)
            raise
