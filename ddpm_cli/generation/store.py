"""The images of a sampling run on disk: files, the index of those that are done, and what made them."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from io import StringIO
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image

from ddpm_cli.config.values import option_differences
from ddpm_cli.files import save_text, write_atomically
from ddpm_cli.rendering.tiles import save_png
from ddpm_cli.shapes import Bytes, Pixels

COLUMNS = ["index", "label", "png", "npz", "row"]


@dataclass(frozen=True)
class ImageStore:
    """A folder of images: png/INDEX.png each, or npz/FIRST.npz a batch, with `index.csv` and `samples.json`.

    An image counts once its row stands in the index, which is written after its files; these are moved to their places when they
    are whole. An array of a batch holds uint8 [N, H, W, C] as `arr_0`, the name that evaluation suites read.
    """

    folder: Path
    png: bool
    npz: bool

    @property
    def index(self) -> Path:
        """The index of the images that are done: a line each."""
        return self.folder / "index.csv"

    def begin(self, made_by: Mapping[str, Any]) -> None:
        """Writes what the images are made by; ValueError where the folder holds images that were made by something else."""
        recipe = made_by["recipe"]
        changed = [
            f"{key} was {old!r} and is {new!r}"
            for key, old, new in option_differences(self.made_by.get("recipe", recipe), recipe)
        ]
        if changed:
            raise ValueError(
                f"{str(self.folder)!r} holds images of another kind ({'; '.join(changed)}); name another folder"
            )
        save_text(self.folder / "samples.json", json.dumps(made_by, indent=2) + "\n")
        if self.kept and self.index.exists():  # of a process that was killed half a row may be left
            save_text(self.index, self.index.read_text().rpartition("\n")[0] + "\n")
        elif self.kept:
            self.note([COLUMNS])

    @property
    def made_by(self) -> dict[str, Any]:
        """What the images that are there are made by, or {}."""
        path = self.folder / "samples.json"
        try:
            found = json.loads(path.read_text()) if path.exists() else {}
        except ValueError as error:
            raise ValueError(
                f"{str(path)!r} cannot be read ({error}); name another folder"
            ) from error
        if path.exists() and not (
            isinstance(found, dict) and isinstance(found.get("recipe"), dict)
        ):
            raise ValueError(
                f"{str(path)!r} does not say what made the images that are there; name another folder"
            )
        return found

    @property
    def kept(self) -> bool:
        """Whether images are kept as files at all."""
        return self.png or self.npz

    @property
    def done(self) -> set[int]:
        """The images whose row is in the index and whose files are there; half a row, or an empty file, does not count."""
        return set(self.rows)

    @cached_property
    def rows(self) -> dict[int, dict[str, str]]:
        """The index, by image, as it was when it was first asked for."""
        if not self.index.exists() or not self.kept:
            return {}

        @cache
        def there(name: str) -> bool:
            path = self.folder / name
            return bool(name) and path.is_file() and path.stat().st_size > 0

        rows = csv.DictReader(self.index.read_text().split("\n")[:-1])
        kinds = ["png"] * self.png + ["npz"] * self.npz
        return {
            int(row["index"]): row
            for row in rows
            if list(row) == COLUMNS
            and row["index"].isdecimal()
            and None not in row.values()
            and all(there(row[kind]) for kind in kinds)
        }

    def images(self, indices: Sequence[int]) -> dict[int, Pixels]:
        """Images that are done, as they were drawn; ValueError where a file is damaged."""
        arrays = cache(lambda name: np.load(self.folder / name)["arr_0"])

        def pixels(row: Mapping[str, str]) -> NDArray[np.uint8]:
            try:
                return (
                    arrays(row["npz"])[int(row["row"])]
                    if self.npz
                    else np.array(Image.open(self.folder / row["png"]))
                )
            except (OSError, ValueError, LookupError, SyntaxError, BadZipFile) as error:
                path = str(self.folder / (row["npz"] if self.npz else row["png"]))
                raise ValueError(
                    f"cannot read {path!r}: {error}; remove it, and its images are drawn again"
                ) from error

        found = {index: torch.from_numpy(pixels(self.rows[index])) for index in indices}
        return {
            index: rearrange(image if image.ndim == 3 else image[..., None], "h w c -> c h w")
            for index, image in found.items()
        }

    def keep(self, indices: Sequence[int], labels: Sequence[str], images: Bytes) -> None:
        """Writes images as they are asked for, then their rows."""
        if not self.kept:
            return
        shard = f"npz/{indices[0]:08d}.npz"
        if self.npz:
            array = rearrange(images, "b c h w -> b h w c").numpy()
            write_atomically(self.folder / shard, lambda partial: save_npz(partial, array))
        rows = []
        for row, (index, label, image) in enumerate(zip(indices, labels, images, strict=True)):
            name = f"png/{index:08d}.png" if self.png else ""
            if self.png:
                save_png(self.folder / name, image)
            rows.append([index, label, name, *([shard, row] if self.npz else ["", ""])])
        self.note(rows)

    def note(self, rows: Sequence[Sequence[Any]]) -> None:
        """Adds rows to the index, in one write."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        with self.index.open("a") as file:
            file.write(text.getvalue())


def save_npz(path: Path, images: NDArray[np.uint8]) -> None:
    """Writes one array, whatever the file is called."""
    with path.open("wb") as file:
        np.savez(file, arr_0=images)
