"""Whether files may have changed, by what the file system says of them: nothing is read."""

import hashlib
import os
import re
from collections.abc import Iterable

KEPT = re.compile(r"/[0-9a-f]{32}(/|\.lock$|\.partial(/|$))")


def hash_parts(parts: Iterable[object]) -> str:
    """A hash of things as they are written."""
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        found.update(f"{part!r}\n".encode())
    return found.hexdigest()


def files_version(names: Iterable[str], root: str = "") -> str:
    """A hash of files, below `root`, by what the file system says of them: it changes whenever one may have changed."""
    return hash_parts((name, file_status(os.path.join(root, name))) for name in names)


def file_status(path: str) -> tuple[int, ...]:
    """The size of a file and when it was changed; of none, nothing."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


def files_at(place: str) -> list[str]:
    """A file, or all files of a folder but for a cache of ours in it."""
    below = [os.path.join(folder, name) for folder, _, names in os.walk(place) for name in names]
    return sorted(path for path in below if not KEPT.search(path)) or [place]
