"""Versions of files, by what the file system says of them; no file is read."""

import hashlib
import os
import re
from collections.abc import Iterable

CACHE_ENTRY = re.compile(r"/[0-9a-f]{32}(/|\.lock$|\.partial(/|$))")


def hash_parts(parts: Iterable[object]) -> str:
    """A hash of the representations of parts."""
    text = "".join(f"{part!r}\n" for part in parts)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def files_version(names: Iterable[str], root: str = "") -> str:
    """A hash of the names, sizes and times of files below `root`, which changes if a file does."""
    digest = hashlib.blake2b(digest_size=16)
    for name in names:
        try:
            status = os.stat(os.path.join(root, name))
            facts: tuple[int, ...] = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        except OSError:
            facts = ()
        digest.update(f"{(name, facts)!r}\n".encode())
    return digest.hexdigest()


def files_at(place: str) -> list[str]:
    """A file, or all files of a folder except entries of a cache of prepared images."""
    below = [os.path.join(folder, name) for folder, _, names in os.walk(place) for name in names]
    return sorted(path for path in below if not CACHE_ENTRY.search(path)) or [place]
