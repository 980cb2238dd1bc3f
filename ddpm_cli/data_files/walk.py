"""The files below a folder and below linked folders, each folder once."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ddpm_cli.files import is_inside

LISTED = 3  # the most names in a remark


@dataclass(frozen=True)
class FolderWalk:
    """A walk through a folder.

    links: names of links to folders that are not read yet. read_folders: the real paths of folders.
    loops: the links that lead to a folder that is read already, or that holds the link.
    special: FIFOs, sockets and devices.
    """

    root: str
    links: list[str] = field(default_factory=list)
    read_folders: set[str] = field(default_factory=set)
    loops: list[str] = field(default_factory=list)
    special: list[str] = field(default_factory=list)

    def files(self, inside: str = "") -> Iterator[str]:
        """Yield the names of files in visible folders, dead links included; follow no link."""
        if (path := os.path.realpath(os.path.join(self.root, inside))) in self.read_folders:
            self.loops.append(inside.removesuffix("/"))
            return
        self.read_folders.add(path)
        with os.scandir(os.path.join(self.root, inside)) as entries:
            for entry in entries:
                name = inside + entry.name
                if not entry.is_dir():
                    if entry.is_file() or entry.is_symlink():
                        yield name
                    else:
                        self.special.append(name)
                elif not entry.name.startswith((".", "__")):
                    if entry.is_symlink():
                        self.links.append(name)
                    else:
                        yield from self.files(f"{name}/")

    def linked_files(self) -> Iterator[str]:
        """Yield the names of files below linked folders, and below links in them."""
        while self.links:
            links = sorted(self.links)
            self.links.clear()
            for name in links:
                if self.leads_up(name):
                    self.loops.append(name)
                else:
                    yield from self.files(f"{name}/")

    def leads_up(self, link: str) -> bool:
        """Whether a link leads to a folder that holds the link or the root."""
        path = os.path.join(self.root, link)
        return is_inside(self.root, path) or is_inside(os.path.dirname(path), path)

    def remarks(self) -> Iterator[tuple[str, str]]:
        """Yield remarks on links and files that are not read."""
        for names, why in (
            (self.loops, "links to folders that hold the link or are read already"),
            (self.special, "files that are no regular files"),
        ):
            if names:
                yield "left out", f"{len(names):,} {why}: {listed_names(names)}"


def listed_names(names: Sequence[str]) -> str:
    """The first names of many."""
    return ", ".join([*map(repr, names[:LISTED]), *["..."] * (len(names) > LISTED)])
