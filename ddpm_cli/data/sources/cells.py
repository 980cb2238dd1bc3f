"""The files that the cells of a table may name: files of the data set itself, and no others."""

import os
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import fsspec
from PIL import Image

from ddpm_cli.files import is_inside
from ddpm_cli.images import open_image


@dataclass(frozen=True)
class CellFiles:
    """The files of one data set, which its cells name relative to the set or by `hf://`.

    A table may come from a stranger: an address in it could read any file, start a request, or run
    code (`reference://`).

    folder: the data set's folder on this machine. repository: its name on the hub. roots: folders
    of the files that `datasets` itself lists; cells name such files by absolute paths or `zip://`.
    """

    folder: str | None = None
    repository: str | None = None
    roots: tuple[str, ...] = ()

    def open(self, cell: dict[str, Any] | None) -> Image.Image:
        """Open the image in a cell: its bytes, or the file of the data set that it names."""
        if cell is None or (cell["bytes"] is None and cell["path"] is None):
            raise ValueError("it is null")
        if cell["bytes"] is not None:
            return open_image(BytesIO(cell["bytes"]))
        if (path := self.local_path(cell["path"])) is not None:
            return open_image(path)
        if (address := self.address(cell["path"])) is not None:
            with fsspec.open(address, "rb") as file:
                return open_image(BytesIO(file.read()))
        rule = "a cell must name a file in the data set, relative to it"
        raise ValueError(f"{rule} or by hf:// in its own repository")

    def local_path(self, name: str) -> str | None:
        """The path of a file that a cell names, if it lies in the data set, links followed."""
        if not name or "://" in name or "\0" in name:
            return None
        if self.folder is None and not os.path.isabs(name):
            return None
        path = os.path.realpath(os.path.join(self.folder or "", name))
        roots = self.roots if os.path.isabs(name) else (self.folder or "",)
        return path if any(is_inside(path, root) for root in roots) else None

    def address(self, name: str) -> str | None:
        """The address of a file in the data set's repository, or in one of its zips."""
        *inner, outer = name.split("::")
        if ".." in name.split("/") or not all(each.startswith("zip://") for each in inner):
            return None
        if inner and not self.roots:
            return None
        own = f"hf://datasets/{self.repository}"
        if self.repository and not inner and "://" not in outer and not os.path.isabs(outer):
            return f"{own}/{outer}"
        in_repository = self.repository and outer.startswith((f"{own}/", f"{own}@"))
        in_zip = inner and self.local_path(outer) is not None
        return name if in_repository or in_zip else None


def cell_name(image: dict[str, Any] | None, index: int) -> str:
    """The name of the image in a cell, for messages."""
    return (image or {}).get("path") or f"image {index}"
