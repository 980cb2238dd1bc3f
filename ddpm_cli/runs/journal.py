"""What a training run writes as it goes: numbers and pictures, in files and for TensorBoard."""

import json
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from ddpm_cli.images import save_png, save_text
from ddpm_cli.shapes import Picture

log = logging.getLogger(__name__)


@dataclass
class Journal:
    """The log of one run in `folder`: `metrics.jsonl`, `incidents.jsonl`, `tensorboard/` and pictures.

    A full disk ends no run: rows wait in `unwritten` until the disk takes them, pictures and TensorBoard's go missing, and it is told.
    """

    folder: Path
    tensorboard: SummaryWriter
    unwritten: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def opened(cls, folder: Path, step: int) -> "Journal":
        """The journal from `step` on: what was written after it, by a run that went on, is cut."""
        metrics = folder / "metrics.jsonl"
        rows = metrics.read_text().splitlines(keepends=True) if metrics.is_file() else []
        save_text(metrics, "".join(row for row in rows if row.endswith("\n") and json.loads(row)["step"] <= step))
        return cls(folder, SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else None))

    def cut(self, step: int) -> None:
        """Goes back to `step`."""
        self.tensorboard.close()
        self.tensorboard = Journal.opened(self.folder, step).tensorboard

    def numbers(self, step: int, row: Mapping[str, float]) -> None:
        """Writes one row of numbers; what is not finite is null, for JSON has no word for it."""
        self.row("metrics.jsonl", {"step": step, **{name: number if math.isfinite(number) else None for name, number in row.items()}})

        def write() -> None:
            for name, number in row.items():
                self.tensorboard.add_scalar(name, number, step)

        self.attempt(write)

    def row(self, name: str, row: Mapping[str, object]) -> None:
        """Adds a row to a file of rows, after those that are still to be written."""
        waiting = self.unwritten.setdefault(name, [])
        waiting.append(json.dumps(row) + "\n")
        if self.attempt(lambda: append(self.folder / name, "".join(waiting))):
            waiting.clear()

    def picture(self, path: str, picture: Picture, step: int) -> None:
        """Writes one picture; its folder or name is its tag in TensorBoard."""

        def write() -> None:
            save_png(self.folder / path, picture)
            self.tensorboard.add_image(path.partition("/")[0].removesuffix(".png"), picture, step)
            self.tensorboard.flush()

        self.attempt(write)

    def attempt(self, write: Callable[[], object]) -> bool:
        """Whether the disk took it; TensorBoard's writer, which does not outlive an error, is opened anew."""
        try:
            write()
        except OSError as error:
            log.warning("warning: cannot write into %s: %s; training goes on", self.folder, error.strerror or error)
            self.tensorboard = SummaryWriter(str(self.folder / "tensorboard"))
            return False
        return True


def append(path: Path, text: str) -> None:
    """Adds a text to a file, all of it or nothing."""
    with path.open("ab", buffering=0) as file:
        size = file.tell()
        try:
            if file.write(text.encode()) < len(text.encode()):
                raise OSError("the disk is full")
        except OSError:
            file.truncate(size)
            raise
