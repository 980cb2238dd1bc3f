"""Prepared images on the disk: decoded by the first run, mapped into memory ever after.

An entry is a folder named by a hash of what the images are and how they are prepared. It is built beside its place under a lock and moved
there whole, so what is there is finished; sums of all its bytes are compared when it is opened. The images are one mapped file and no rows
of Arrow (`datasets`): those give batches of 128 by their indices at 0.06 (128 px) and 0.03 (32 px) times its rate as NumPy, and at 0.65
and 0.13 as tables, the quickest way found (scripts/benchmarks/bench_data.py).
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
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from filelock import FileLock, Timeout
from tqdm import tqdm

from ddpm_cli.data.decoding import (
    RECORD,
    Decoded,
    Records,
    content_hash,
    core_count,
    decode_all,
    prefetch,
)
from ddpm_cli.data.preparation import Preparation
from ddpm_cli.data.sources.source import Source
from ddpm_cli.shapes import Bytes

VERSION = 1  # of an entry and of how images are prepared
ATTEMPTS = 3  # to build what is found damaged
DAMAGE = (AttributeError, LookupError, OSError, RecursionError, TypeError, ValueError)
SPENT = (errno.EDQUOT, errno.ENOSPC, errno.EROFS)
UNWRITABLE = (
    errno.EACCES,
    errno.EEXIST,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.EPERM,
    *SPENT,
)
BLOCK = 2**20  # bytes read at once to be compared
log = logging.getLogger(__name__)


def decode_to_disk(
    source: Source, preparation: Preparation, *, threads: int, aloud: bool
) -> Decoded:
    """The images of the cache, which one process puts there first where they are not yet, while others wait."""
    root = cache_root(preparation)
    entry = root / cache_key(source, preparation)
    for _ in range(ATTEMPTS):
        with lock_entry(entry, aloud):
            if not entry.is_dir():
                write_entry(entry, source, preparation, aloud)
            found = entry.stat().st_ino
        try:
            return open_entry(entry, source, preparation, threads=threads, aloud=aloud)
        except DAMAGE as error:
            log.warning("warning: the cache in %s is damaged and is built anew: %s", entry, error)
        with lock_entry(entry, aloud):
            if (
                entry.is_dir() and entry.stat().st_ino == found
            ):  # and not another that was built since
                shutil.rmtree(entry)
    raise ValueError(
        f"what is written to the cache in {str(root)!r} is read otherwise: is the disk damaged?"
    )


def cache_root(preparation: Preparation) -> Path:
    """The folder of all entries."""
    if preparation.cache != "disk":
        return Path(os.path.expanduser(preparation.cache))
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ddpm-cli"


def cache_key(source: Source, preparation: Preparation) -> str:
    """The name of an entry: a hash of what decides about its bytes."""
    decisive = [VERSION, source.version(), source.count, *preparation.kept, preparation.crop]
    return hashlib.blake2b(json.dumps(decisive).encode(), digest_size=16).hexdigest()


@contextmanager
def lock_entry(entry: Path, aloud: bool) -> Iterator[None]:
    """Has an entry to itself among the processes of all runs; a process that is killed has it no more."""
    with tell_unwritable(entry.parent):
        entry.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(entry.with_suffix(".lock"))
        try:
            lock.acquire(timeout=0.2)
        except Timeout:
            if aloud:
                log.info("waiting   for another process that prepares the same images")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()


@contextmanager
def tell_unwritable(root: Path) -> Iterator[None]:
    """Tells in the user's words that the cache cannot be written to."""
    try:
        yield
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        raise ValueError(
            f"data.cache must be a folder that can be written to, but {str(root)!r} cannot: {error.strerror}"
        ) from error


def write_entry(entry: Path, source: Source, preparation: Preparation, aloud: bool) -> None:
    """Writes an entry beside its place, and moves it there when all of it is on the disk."""
    unfinished, began = entry.with_suffix(".partial"), time.perf_counter()
    remove_entry(unfinished)  # of one that was killed
    check_free_space(entry.parent, source.count, preparation)
    unfinished.mkdir()
    try:
        with (unfinished / "images").open("wb") as file:
            records, unreadable = decode_all(
                source, preparation, partial(append_images, file), threads=core_count(), aloud=aloud
            )
            sync(file)
        save_records(unfinished, records, unreadable, time.perf_counter() - began)
        unfinished.rename(entry)
        if aloud:
            log.info("cached    %s prepared images in %s", f"{len(records):,}", entry)
    finally:
        remove_entry(unfinished)


def append_images(file: BinaryIO, first: int, images: Bytes) -> None:
    """Writes images behind those before them."""
    file.write(images.numpy().data)


def remove_entry(path: Path) -> None:
    """Removes a folder, or the file in its place."""
    shutil.rmtree(path, ignore_errors=True)
    if path.is_file():
        path.unlink()


def check_free_space(folder: Path, count: int, preparation: Preparation) -> None:
    """Refuses what the disk cannot take."""
    needed, free = (
        count * math.prod(preparation.kept) / 2**30,
        shutil.disk_usage(folder).free / 2**30,
    )
    if needed > free:
        remedy = "choose data.cache=FOLDER elsewhere, or a smaller data.size"
        raise ValueError(
            f"{count:,} prepared images take {needed:.1f} GiB, and {free:.1f} are free in {str(folder)!r}: {remedy}"
        )


def save_records(
    folder: Path, records: Records, unreadable: Sequence[tuple[str, str]], seconds: float
) -> None:
    """Writes what is known of the images, and the sum of that."""
    with (folder / "records").open("wb") as file:
        file.write(records.tobytes())
        sync(file)
    facts = {"count": len(records), "unreadable": unreadable, "seconds": round(seconds, 1)}
    with (folder / "facts.json").open("wb") as file:
        file.write(json.dumps({**facts, "sum": entry_checksum(facts, records)}).encode())
        sync(file)


def sync(file: BinaryIO) -> None:
    """Sees to it that all that was written is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def entry_checksum(facts: dict[str, Any], records: Records) -> str:
    """The sum of an entry but for its pixels, for which the words in the records stand."""
    return hashlib.blake2b(
        json.dumps(facts, sort_keys=True).encode() + records.tobytes(), digest_size=16
    ).hexdigest()


def open_entry(
    entry: Path, source: Source, preparation: Preparation, *, threads: int, aloud: bool
) -> Decoded:
    """An entry, its images mapped into memory; ValueError or the like where a byte of it is not what was written."""
    facts, records = (
        json.loads((entry / "facts.json").read_bytes()),
        np.fromfile(entry / "records", dtype=RECORD),
    )
    size, shape = (entry / "images").stat().st_size, (len(records), *preparation.kept)
    if (
        facts.pop("sum") != entry_checksum(facts, records)
        or len(records) + len(facts["unreadable"]) != source.count
        or size != math.prod(shape)
    ):
        raise ValueError("it is not what was written")
    check_images(entry / "images", records, preparation.kept, threads, aloud)
    images = (
        torch.from_file(str(entry / "images"), size=size, dtype=torch.uint8)
        if size
        else torch.empty(0, dtype=torch.uint8)
    )
    return Decoded(
        images.view(shape),
        records,
        [(name, why) for name, why in facts["unreadable"]],
        entry,
        facts["seconds"],
    )


def check_images(
    path: Path, records: Records, shape: tuple[int, ...], threads: int, aloud: bool
) -> None:
    """Compares the bytes of all images with their words, which is quicker by far than to decode them."""
    at_once = max(1, BLOCK // math.prod(shape))

    def differing(first: int) -> bool:
        expected = records["word"][first : first + at_once]
        offset, count = (math.prod(shape) * each for each in (first, len(expected)))
        content = np.fromfile(path, np.uint8, count=count, offset=offset).reshape(-1, *shape)
        return not np.array_equal(content_hash(torch.from_numpy(content)), expected)

    firsts = range(0, len(records), at_once)
    bar = tqdm(
        total=len(firsts),
        desc="comparing",
        delay=2,
        leave=False,
        dynamic_ncols=True,
        disable=not aloud,
    )
    with bar, ThreadPoolExecutor(threads) as pool:
        for wrong in prefetch(pool, differing, firsts, 4 * threads):
            bar.update()
            if wrong:
                raise ValueError("an image is not what was written")
