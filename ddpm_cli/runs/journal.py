"""What a training run writes as it goes: numbers and pictures, in files and for TensorBoard."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from ddpm_cli.images import save_png, save_text
from ddpm_cli.shapes import Picture


@dataclass(frozen=True)
class Journal:
    """The log of one run in `folder`: `metrics.jsonl`, `tensorboard/` and pictures."""

    folder: Path
    tensorboard: SummaryWriter

    @classmethod
    def opened(cls, folder: Path, step: int) -> "Journal":
        """The journal from `step` on: what was written after it, by a run that went on, is cut."""
        metrics = folder / "metrics.jsonl"
        rows = metrics.read_text().splitlines(keepends=True) if metrics.is_file() else []
        kept = "".join(row for row in rows if row.endswith("\n") and json.loads(row)["step"] <= step)
        save_text(metrics, kept)
        return cls(folder, SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else None))

    def numbers(self, step: int, row: Mapping[str, float]) -> None:
        """Writes one row of numbers."""
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({"step": step, **row}) + "\n")
        for name, number in row.items():
            self.tensorboard.add_scalar(name, number, step)

    def picture(self, path: str, picture: Picture, step: int) -> None:
        """Writes one picture; its folder or name is its tag in TensorBoard."""
        save_png(self.folder / path, picture)
        self.tensorboard.add_image(path.partition("/")[0].removesuffix(".png"), picture, step)
        self.tensorboard.flush()
