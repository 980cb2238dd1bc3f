"""The user's paths, files written as a whole, and the text of CSV files."""

import csv
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from difflib import get_close_matches
from io import StringIO
from itertools import islice
from pathlib import Path

MOST_NAMES = 10_000  # in a folder that is searched for the name that is meant


def user_path(text: str | Path) -> Path:
    """A path as the user typed it, with ~ expanded; ~name stays if there is no such user."""
    return Path(os.path.expanduser(text))


def near_path(path: Path) -> Path | None:
    """The path beside a path to nothing that its user may have meant, if one is alike."""
    near = list[str]()
    with suppress(OSError), os.scandir(path.parent) as entries:
        names = (each.name for each in islice(entries, MOST_NAMES))
        near = get_close_matches(path.name, names, n=1)
    return path.with_name(near[0]) if near else None


def near_path_advice(path: Path) -> str:
    """The path that may be meant by a path to nothing, as the end of a sentence, or ''."""
    near = near_path(path)
    return f"; did you mean {str(near)!r}?" if near else ""


def regular_file(path: Path) -> Path:
    """The path itself. Raises OSError if a FIFO, a socket or a device is there."""
    if path.exists() and not path.is_file():
        raise OSError(f"{str(path)!r} is not a regular file")
    return path


def is_inside(path: str | Path, folder: str | Path) -> bool:
    """Whether a path leads into a folder or to the folder itself, links followed."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file beside its target and move it there: no reader ever sees half a file.

    write: gets the path of an empty file with a random name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{secrets.token_hex(8)}-{path.name}")
    partial.touch(exist_ok=False)
    try:
        write(partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_folder(path: Path, fill: Callable[[Path], object]) -> None:
    """Write a new folder beside its place and move it there, as `write_atomically` does a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{secrets.token_hex(8)}-{path.name}")
    partial.mkdir()
    try:
        fill(partial)
        os.rename(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def save_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8."""
    write_atomically(path, lambda partial: partial.write_bytes(text.encode()))


def load_text(path: Path) -> str:
    """Read a text file in UTF-8; other bytes become U+FFFD."""
    return path.read_text(encoding="utf-8", errors="replace")


def append_text(path: Path, text: str) -> None:
    """Add a text to a file, all of it or nothing; a link is not followed. Raises OSError."""
    content = text.encode()
    with open(path, "ab", buffering=0, opener=open_without_links) as file:
        size = file.tell()
        try:
            if file.write(content) < len(content):
                raise OSError("the disk is full")
        except OSError:
            file.truncate(size)
            raise


def open_without_links(path: str, flags: int) -> int:
    """Open a file, not through a symbolic link, and without waiting for the reader of a pipe."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o666)


def folders_with(folder: Path, name: str) -> Iterator[Path]:
    """Yield the folders below a folder, at any depth, that hold a file of this name.

    A folder that holds the file is not searched further, nor is a link.
    """
    waiting = [folder]
    for each in waiting:
        for below in sorted(path for path in each.iterdir() if path.is_dir()):
            if (below / name).is_file():
                yield below
            elif not below.is_symlink():
                waiting.append(below)


def remove_contents(folder: Path) -> None:
    """Remove all that a folder holds."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Rows as CSV, a line each; None is an empty cell."""
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
