"""Several files by one pattern: * and ? as in a shell, and WebDataset's numbers in braces."""

import glob
import re
from collections.abc import Iterator
from pathlib import Path

BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")


def is_pattern(path: str) -> bool:
    """Whether a path names no file but may name several."""
    return not Path(path).expanduser().exists() and (
        bool(BRACES.search(path)) or "*" in path or "?" in path
    )


def matching_files(path: str) -> list[Path]:
    """The files that a path or a pattern names, in its order; ValueError if one is missing."""
    matches = []
    for name in expand_braces(str(Path(path).expanduser())) if is_pattern(path) else [path]:
        named = sorted(glob.glob(name.replace("[", "[[]"))) if is_pattern(name) else [name]
        files = [file for each in named if (file := Path(each).expanduser()).is_file()]
        matches += files
        if not files:
            wanted = "a zip or tar file, or a pattern of some (*, ?, {000..012})"
            raise ValueError(f"path must be {wanted}, but there is none at {name!r}")
    return list(dict.fromkeys(matches))


def expand_braces(pattern: str) -> Iterator[str]:
    """Yield a pattern for each number in braces, as wide as the first number is written."""
    braces = BRACES.search(pattern)
    if braces is None:
        yield pattern
        return
    first, last = braces.groups()
    if int(first) > int(last):
        raise ValueError(f"numbers in braces must rise, but path is {pattern!r}")
    before, after = pattern[: braces.start()], pattern[braces.end() :]
    for number in range(int(first), int(last) + 1):
        yield from expand_braces(f"{before}{number:0{len(first)}d}{after}")
