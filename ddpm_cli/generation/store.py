"""Generated images on disk: files, the index of the finished images, and their provenance."""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image

from ddpm_cli.config.plain_text import bounded_text, plain_json
from ddpm_cli.config.schema import option_differences
from ddpm_cli.config.values import yaml_text
from ddpm_cli.files import csv_text, is_inside, load_text, save_text, write_atomically
from ddpm_cli.generation.guidance import implied_guider
from ddpm_cli.rendering.tiles import save_png
from ddpm_cli.shapes import Bytes, Pixels

PROVENANCE, INDEX = "samples.json", "index.csv"
GRID, FILM = "grid.png", ("film.png", "film_x0.png", "film.gif")
PICTURES = (GRID, *FILM)  # of many images
COLUMNS = ["index", "label", "png", "npz", "row"]
NUMBER, LONGEST, MOST_BYTES = re.compile("[0-9]{1,12}"), 5000, 2**30  # of an index, a row, the file
DAMAGE = (
    *(OSError, ValueError, LookupError, SyntaxError, BadZipFile),
    Image.DecompressionBombError,
)


@dataclass(frozen=True)
class ImageStore:
    """A folder of images: png/INDEX.png, npz/FIRST.npz for a batch, `index.csv`, `samples.json`.

    An image counts once its row is in the index. The row is written after the image's files, and
    each file appears whole. The file of a batch holds uint8 [N, H, W, C] as `arr_0`, the name that
    evaluation suites read.
    """

    folder: Path
    png: bool
    npz: bool

    def open(self, provenance: Mapping[str, Any]) -> None:
        """Write the provenance. Raises ValueError if the folder's images have other settings."""
        settings = provenance["recipe"]
        before = settings_of_before(self.read_provenance().get("recipe", settings))
        changes = [
            f"{key} was {yaml_text(old)} and is {yaml_text(new)}"
            for key, old, new in option_differences(before, settings)
        ]
        if changes:
            raise ValueError(
                f"{str(self.folder)!r} holds images of another kind ({'; '.join(changes)}); "
                "name another folder"
            )
        save_text(self.folder / PROVENANCE, json.dumps(provenance, indent=2) + "\n")
        path = self.folder / INDEX
        if path.exists() and (self.png or self.npz):  # a killed process may leave half a row
            save_text(path, load_text(path).rpartition("\n")[0] + "\n")
        elif self.png or self.npz:
            save_text(path, csv_text([COLUMNS]))

    def read_provenance(self) -> dict[str, Any]:
        """Read the provenance, or {} if there is none. Raises ValueError if it cannot be read."""
        path = self.folder / PROVENANCE
        if not path.exists():
            return {}
        try:
            content = plain_json(bounded_text(path))
        except ValueError as error:
            raise ValueError(
                f"{str(path)!r} cannot be read ({error}); name another folder"
            ) from error
        if not (isinstance(content, dict) and isinstance(content.get("recipe"), dict)):
            raise ValueError(
                f"{str(path)!r} does not say what made the images that are there; "
                "name another folder"
            )
        return content

    def read_rows(self) -> dict[int, dict[str, str]]:
        """Read the rows of the index by image; a row counts if it is whole and no file is empty."""
        kinds, path = ["png"] * self.png + ["npz"] * self.npz, self.folder / INDEX
        if not kinds:
            return {}
        is_whole = cache(lambda name: is_content_of(self.folder, self.folder / name))
        lines = bounded_text(path, MOST_BYTES).split("\n")[:-1]
        return {
            int(row["index"]): row
            for row in csv.DictReader(line for line in lines if len(line) <= LONGEST)
            if list(row) == COLUMNS
            and NUMBER.fullmatch(row["index"])
            and None not in row.values()
            and all(is_whole(row[kind]) for kind in kinds)
        }

    def images(self, rows: Mapping[int, Mapping[str, str]]) -> dict[int, Pixels]:
        """Read the images of these rows. Raises ValueError if a file is damaged."""
        arrays = cache(lambda name: np.load(self.folder / name)["arr_0"])
        images = {}
        for index, row in rows.items():
            name = row["npz"] if self.npz else row["png"]
            try:
                image: NDArray[np.uint8] = (
                    arrays(name)[int(row["row"])]
                    if self.npz
                    else np.array(Image.open(self.folder / name, formats=["PNG"]))
                )
            except DAMAGE as error:
                raise ValueError(
                    f"cannot read {str(self.folder / name)!r}: {error}; "
                    "remove it, and its images are drawn again"
                ) from error
            pixels = torch.from_numpy(image if image.ndim == 3 else image[..., None])
            images[index] = rearrange(pixels, "h w c -> c h w")
        return images

    def write(self, indices: Sequence[int], labels: Sequence[str], images: Bytes) -> None:
        """Write a batch of images in the formats of the store, then their rows."""
        if not (self.png or self.npz):
            return
        batch, rows = f"npz/{indices[0]:08d}.npz", []
        if self.npz:
            array = rearrange(images, "b c h w -> b h w c").numpy()
            write_atomically(self.folder / batch, lambda path: np.savez(path, arr_0=array))
        for row, (index, label, image) in enumerate(zip(indices, labels, images, strict=True)):
            name = f"png/{index:08d}.png" if self.png else ""
            if self.png:
                save_png(self.folder / name, image.numpy())
            rows.append([index, label, name, *([batch, row] if self.npz else ["", ""])])
        with (self.folder / INDEX).open("a", encoding="utf-8") as file:
            file.write(csv_text(rows))  # one write, so that rows of processes do not mix


def settings_of_before(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a folder, with those that an earlier version left to be understood."""
    with suppress(TypeError, ValueError, LookupError):  # what another program wrote may be anything
        settings = {"guider": implied_guider(settings), **settings}
    return {"randomness": 1, **settings}


def is_content_of(folder: Path, file: Path) -> bool:
    """Whether a file is there, not empty, and in a folder, also behind links."""
    return is_inside(file, folder) and file.is_file() and file.stat().st_size > 0
