"""Prepared images on the disk: the first run decodes them, later runs map them into memory.

An entry is a folder named by a hash of the images' version and preparation. A process builds it
beside its target under a lock and moves it there whole, so that an entry is always finished; its
checksums are compared when it is opened. The images are one mapped file, not rows of Arrow
(`datasets`): Arrow gives batches of 128 by their indices at 0.06 (128 px) and 0.03 (32 px) times
the rate as NumPy, and at 0.65 and 0.13 as tables, its fastest form
(scripts/benchmarks/bench_data.py).
"""

import errno
import hashlib
import json
import logging
import math
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from filelock import FileLock, Timeout
from tqdm import tqdm

from ddpm_cli.console import fact
from ddpm_cli.data.preparation import Preparation
from ddpm_cli.data.sources.source import Source
from ddpm_cli.image_sets.decoding import (
    CORES,
    PROGRESS,
    RECORD,
    Decoded,
    Records,
    content_hash,
    decode_all,
    prefetch,
)

VERSION = 2  # the version of an entry's format and of the preparation
ATTEMPTS = 3  # attempts to build a damaged entry anew
DAMAGE = (AttributeError, LookupError, OSError, RecursionError, TypeError, ValueError)
SPENT = (errno.EDQUOT, errno.ENOSPC, errno.EROFS)
NO_ACCESS = (errno.EACCES, errno.EPERM, *SPENT)
NO_FOLDER = (errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR)
BLOCK = 2**20  # bytes to compare at once
log = logging.getLogger(__name__)


def decode_to_disk(
    source: Source, preparation: Preparation, *, threads: int, verbose: bool
) -> Decoded:
    """Open the images in the cache; one process decodes missing images while the others wait."""
    root = preparation.cache_folder
    assert root is not None
    # the name is a hash of all that decides the bytes
    facts = [VERSION, source.version(), source.count, *preparation.stored_shape, preparation.crop]
    entry = root / hashlib.blake2b(json.dumps(facts).encode(), digest_size=16).hexdigest()
    for _ in range(ATTEMPTS):
        with lock_entry(entry, verbose):
            if not entry.is_dir():
                write_entry(entry, source, preparation, verbose)
            inode = entry.stat().st_ino
        try:
            return open_entry(entry, source, preparation, threads=threads, verbose=verbose)
        except DAMAGE as error:
            log.warning("warning: the cache in %s is damaged and is built anew: %s", entry, error)
        with lock_entry(entry, verbose):
            # Another process may have built a new entry meanwhile.
            if entry.is_dir() and entry.stat().st_ino == inode:
                shutil.rmtree(entry)
    raise ValueError(
        f"what is written to the cache in {str(root)!r} is read otherwise: is the disk damaged?"
    )


@contextmanager
def lock_entry(entry: Path, verbose: bool) -> Iterator[None]:
    """Lock an entry against the processes of all runs; the end of a process frees its lock."""
    with tell_unwritable(entry.parent):
        entry.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(entry.with_suffix(".lock"))
        try:
            lock.acquire(timeout=0.2)
        except Timeout:
            if verbose:
                fact("waiting", "for another process that prepares the same images")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()


@contextmanager
def tell_unwritable(root: Path) -> Iterator[None]:
    """Raise a ValueError that names the cache if the cache cannot be written to."""
    try:
        yield
    except OSError as error:
        if error.errno not in (*NO_ACCESS, *NO_FOLDER):
            raise
        rule = "data.cache must be a folder that can be written to"
        raise ValueError(f"{rule}, but {str(root)!r} cannot: {error.strerror}") from error


def write_entry(entry: Path, source: Source, preparation: Preparation, verbose: bool) -> None:
    """Write an entry beside its target, and move it there once it is whole on the disk."""
    unfinished, began = entry.with_suffix(".partial"), time.perf_counter()
    remove_entry(unfinished)  # left by a killed process
    check_free_space(entry.parent, source.count, preparation)
    unfinished.mkdir()
    try:
        with (unfinished / "images").open("wb") as file:
            records, unreadable = decode_all(
                source,
                preparation,
                lambda first, block: file.write(block.numpy().data),
                threads=CORES,
                verbose=verbose,
            )
            sync(file)
        save_records(unfinished, records, unreadable, time.perf_counter() - began)
        unfinished.rename(entry)
        if verbose:
            fact("cached", f"{len(records):,} prepared images in {entry}")
    finally:
        remove_entry(unfinished)


def remove_entry(path: Path) -> None:
    """Remove a folder, or a file of the same path."""
    shutil.rmtree(path, ignore_errors=True)
    if path.is_file():
        path.unlink()


def check_free_space(folder: Path, count: int, preparation: Preparation) -> None:
    """Refuse more images than the disk has room for."""
    needed = count * math.prod(preparation.stored_shape) / 2**30
    free = shutil.disk_usage(folder).free / 2**30
    if needed > free:
        sizes = f"take {needed:.1f} GiB, and {free:.1f} are free in {str(folder)!r}"
        remedy = "choose data.cache=FOLDER elsewhere, or a smaller data.size"
        raise ValueError(f"{count:,} prepared images {sizes}: {remedy}")


def save_records(
    folder: Path, records: Records, unreadable: Sequence[tuple[str, str]], seconds: float
) -> None:
    """Write the records of the images, the unreadable images, and a checksum of both."""
    with (folder / "records").open("wb") as file:
        file.write(records.tobytes())
        sync(file)
    header = {"count": len(records), "unreadable": unreadable, "seconds": round(seconds, 1)}
    with (folder / "facts.json").open("wb") as file:
        file.write(json.dumps({**header, "sum": entry_checksum(header, records)}).encode())
        sync(file)


def sync(file: BinaryIO) -> None:
    """Flush a file to the disk."""
    file.flush()
    os.fsync(file.fileno())


def entry_checksum(header: dict[str, Any], records: Records) -> str:
    """The checksum of an entry, whose records hold hashes of the pixels."""
    content = json.dumps(header, sort_keys=True).encode() + records.tobytes()
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def open_entry(
    entry: Path, source: Source, preparation: Preparation, *, threads: int, verbose: bool
) -> Decoded:
    """Map an entry's images into memory. Raises ValueError or the like if a byte has changed."""
    header = json.loads((entry / "facts.json").read_bytes())
    records: Records = np.fromfile(entry / "records", dtype=RECORD)
    file, shape = entry / "images", (len(records), *preparation.stored_shape)
    size = file.stat().st_size
    if (
        header.pop("sum") != entry_checksum(header, records)
        or len(records) + len(header["unreadable"]) != source.count
        or size != math.prod(shape)
    ):
        raise ValueError("it is not what was written")
    check_images(file, records, preparation.stored_shape, threads, verbose)
    images = torch.empty(0, dtype=torch.uint8)
    if size:
        images = torch.from_file(str(file), size=size, dtype=torch.uint8)
    unreadable = [(name, reason) for name, reason in header["unreadable"]]
    return Decoded(images.view(shape), records, unreadable, entry, header["seconds"])


def check_images(
    path: Path, records: Records, shape: tuple[int, ...], threads: int, verbose: bool
) -> None:
    """Compare all images with their hashes, which is much faster than decoding them."""
    image_size = math.prod(shape)
    block_size = max(1, BLOCK // image_size)

    def differs(first: int) -> bool:
        expected = records["word"][first : first + block_size]
        offset, count = first * image_size, len(expected) * image_size
        content = np.fromfile(path, np.uint8, count=count, offset=offset).reshape(-1, *shape)
        return not np.array_equal(content_hash(torch.from_numpy(content)), expected)

    blocks = range(0, len(records), block_size)
    bar = tqdm(total=len(blocks), desc="comparing", disable=not verbose, **PROGRESS)
    with bar, ThreadPoolExecutor(threads) as pool:
        for is_damaged in prefetch(pool, differs, blocks, 4 * threads):
            bar.update()
            if is_damaged:
                raise ValueError("an image is not what was written")
