"""Several files by one pattern: * and ? as in a shell, and the numbers in braces with which WebDataset names shards."""

import glob
import re
from collections.abc import Iterator
from pathlib import Path

BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")


def is_pattern(path: str) -> bool:
    """Whether a path names no file, but may name several."""
    return not Path(path).expanduser().exists() and (
        bool(BRACES.search(path)) or "*" in path or "?" in path
    )


def matching_files(path: str) -> list[Path]:
    """The files that a path or a pattern names, in its order; ValueError where one is not there."""
    found = []
    for name in expand_braces(str(Path(path).expanduser())) if is_pattern(path) else [path]:
        named = sorted(glob.glob(name.replace("[", "[[]"))) if is_pattern(name) else [name]
        files = [file for each in named if (file := Path(each).expanduser()).is_file()]
        found += files
        if not files:
            raise ValueError(
                f"path must be a zip or tar file, or a pattern of some (*, ?, {{000..012}}), but there is none at {name!r}"
            )
    return list(dict.fromkeys(found))


def expand_braces(pattern: str) -> Iterator[str]:
    """A pattern for each of the numbers in braces, as wide as the first is written."""
    braces = BRACES.search(pattern)
    if braces is None:
        yield pattern
        return
    first, last = braces.groups()
    if int(first) > int(last):
        raise ValueError(f"numbers in braces must rise, but path is {pattern!r}")
    for number in range(int(first), int(last) + 1):
        yield from expand_braces(
            f"{pattern[: braces.start()]}{number:0{len(first)}d}{pattern[braces.end() :]}"
        )
