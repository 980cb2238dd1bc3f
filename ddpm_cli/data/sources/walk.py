"""The files below a folder and below the folders that links in it name, each folder once."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class FolderWalk:
    """A walk through a folder.

    links: names of links to folders, to be followed. seen: devices and numbers of folders.
    loops: the links that lead to a folder that is read already, or that holds the link.
    special: FIFOs, sockets and devices.
    """

    root: str
    links: list[str] = field(default_factory=list)
    seen: set[tuple[int, int]] = field(default_factory=set)
    loops: list[str] = field(default_factory=list)
    special: list[str] = field(default_factory=list)

    def files(self, inside: str = "") -> Iterator[str]:
        """Yield the names of files in visible folders, dead links included; follow no link."""
        status = os.stat(os.path.join(self.root, inside))
        if (key := (status.st_dev, status.st_ino)) in self.seen:
            self.loops.append(inside)
            return
        self.seen.add(key)
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
        inner = map(os.path.realpath, (self.root, os.path.dirname(path)))
        target = os.path.join(os.path.realpath(path), "")
        return any(os.path.join(each, "").startswith(target) for each in inner)

    def remarks(self) -> Iterator[tuple[str, str]]:
        """Yield what is not read."""
        if self.loops:
            why = "it holds the link, or is read already"
            yield "left out", f"{len(self.loops):,} linked folders ({self.loops[0]!r}, ...): {why}"
        if self.special:
            names = f"{len(self.special):,} that are no regular files ({self.special[0]!r}, ...)"
            yield "left out", names
