"""The user's paths, files written as a whole, and the text of CSV files."""

import csv
import os
import secrets
import shutil
from collections.abc import Callable, Iterable
from io import StringIO
from pathlib import Path


def user_path(text: str | Path) -> Path:
    """A path as the user typed it, with ~ expanded; ~name stays if there is no such user."""
    return Path(os.path.expanduser(text))


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


def save_text(path: Path, text: str) -> None:
    """Write a text file."""
    write_atomically(path, lambda partial: partial.write_text(text))


def append_text(path: Path, text: str) -> None:
    """Add a text to a file, all of it or nothing."""
    content = text.encode()
    with path.open("ab", buffering=0) as file:
        size = file.tell()
        try:
            if file.write(content) < len(content):
                raise OSError("the disk is full")
        except OSError:
            file.truncate(size)
            raise


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
