"""Every image of a source read once, in threads and in order, with what is to be known of each: never more than a few in memory."""

import errno
import hashlib
import math
import os
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar
from warnings import catch_warnings

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch.nn.functional import adaptive_avg_pool2d
from tqdm import tqdm

from ddpm_cli.data.image_arrays import ImageArray
from ddpm_cli.data.preparation import Preparation, prepare_image, rotate_upright
from ddpm_cli.data.sources.source import Source
from ddpm_cli.shapes import Bytes

RECORD = np.dtype(
    [
        ("place", "<i8"),  # in the source
        ("word", "<u8"),  # a hash of the prepared bytes
        ("look", "<u8"),  # a hash of what it looks like, alike for images that look alike
        ("width", "<i4"),  # of the original
        ("height", "<i4"),
        ("mode", "S8"),
        ("low", "u1"),  # the smallest prepared byte
        ("high", "u1"),
        ("plain", "?"),  # of one colour
    ]
)
VISIBLE = 1  # level of 255; by less brightness grows where there is nothing, as JPEG leaves it on a plain ground
BLOCK = 2**22  # bytes of images decoded by a thread before it hands them over
UNKNOWN = (
    ImportError,
    NotImplementedError,
)  # kinds of files and places that are not supported here
DAMAGED = (EOFError, OSError, SyntaxError, struct.error, zlib.error)
FAULTS = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, *DAMAGED, *UNKNOWN)
UNREADABLE = (*FAULTS, Image.DecompressionBombError)
MACHINE = (
    errno.EIO,
    errno.ESTALE,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ETIMEDOUT,
)  # which no image is to blame for
Records: TypeAlias = NDArray[Any]
Hashes: TypeAlias = NDArray[np.uint64]
Item = TypeVar("Item")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Decoded:
    """All images of a source that can be read, what is known of each, and (name, reason) of those that cannot.

    folder: where they lie, if on a disk. seconds: that the decoding took.
    """

    images: ImageArray
    records: Records
    unreadable: Sequence[tuple[str, str]]
    folder: Path | None = None
    seconds: float = 0.0


def decode_all(
    source: Source,
    preparation: Preparation,
    keep: Callable[[int, Bytes], object],
    *,
    threads: int,
    aloud: bool,
) -> tuple[Records, list[tuple[str, str]]]:
    """What is known of the images that can be read, and (name, reason) of those that cannot.

    keep: is handed the images in order, some at once, with the place of the first of them.
    """
    records, count, unreadable = np.zeros(source.count, dtype=RECORD), 0, []
    at_once = max(1, min(32, BLOCK // math.prod(preparation.kept)))
    blocks = (
        range(source.count)[first : first + at_once] for first in range(0, source.count, at_once)
    )
    bar = tqdm(
        total=source.count,
        desc="decoding",
        unit=" images",
        delay=2,
        leave=False,
        dynamic_ncols=True,
        disable=not aloud,
    )
    with (
        bar,
        ThreadPoolExecutor(threads) as pool,
        catch_warnings(action="ignore", category=Image.DecompressionBombWarning),
    ):
        for images, found, bad in prefetch(
            pool, partial(decode_block, source, preparation), blocks, 2 * threads
        ):
            keep(count, images)
            records[count : count + len(found)] = found
            count += len(found)
            unreadable += bad
            bar.update(len(found) + len(bad))
    return records[:count], unreadable


def decode_block(
    source: Source, preparation: Preparation, indices: range
) -> tuple[Bytes, Records, list[tuple[str, str]]]:
    """Some images with what is to be known of each, and what is wrong with those that cannot be read."""
    readable, facts, bad = [torch.empty(0, *preparation.kept, dtype=torch.uint8)], [], []
    for index in indices:
        try:
            image = source.open(index)
            size, mode = (
                (rotate_upright(image), image.mode)
                if isinstance(image, Image.Image)
                else (image.shape[1::-1], str(image.dtype))
            )
            readable.append(prepare_image(image, preparation.kept, preparation.crop)[None])
            facts.append((index, *size, mode.encode()))
        except UNREADABLE as error:
            bad.append((source.name(index), fault_text(error)))
    images, records, told = (
        torch.cat(readable),
        np.zeros(len(facts), dtype=RECORD),
        ["place", "width", "height", "mode"],
    )
    records[told] = np.array(facts, dtype=records[told].dtype)
    records["word"], records["look"] = content_hash(images), perceptual_hash(images)
    low, high = images.flatten(2).amin(2), images.flatten(2).amax(2)
    records["low"], records["high"], records["plain"] = (
        low.amin(1),
        high.amax(1),
        (low == high).all(1),
    )
    return images, records, bad


def fault_text(error: Exception) -> str:
    """What is wrong with an image, in one line and without its name; raises what no image is to blame for."""
    if isinstance(error, OSError) and error.errno in MACHINE:
        raise error
    if isinstance(error, UnidentifiedImageError):
        return "it is no image of a known format"
    told = error.strerror if isinstance(error, OSError) else None
    return " ".join((told or str(error)).split()) or type(error).__name__


def prefetch(
    pool: Executor, function: Callable[[Item], Found], items: Iterable[Item], count: int
) -> Iterator[Found]:
    """What a function makes of the items, in their order, with at most `count` of them begun."""
    begun: deque[Future[Found]] = deque()
    for item in items:
        begun.append(pool.submit(function, item))
        if len(begun) == count:
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()


def content_hash(images: Bytes) -> Hashes:
    """64 bits that stand for each image: whether it is held out, unchanged, and the same as another follows from them."""
    digests = (
        hashlib.blake2b(image.data, digest_size=8).digest() for image in images.contiguous().numpy()
    )
    return np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)


def perceptual_hash(images: Bytes) -> Hashes:
    """64 bits of which near copies share most: whether brightness grows from each of 8 x 9 cells to the next (a difference hash)."""
    cells = adaptive_avg_pool2d(images.float().mean(1, keepdim=True), (8, 9)).flatten(0, 1)
    return (
        np.packbits(cells.diff(dim=2).flatten(1).numpy() > VISIBLE, axis=1)
        .view(">u8")
        .astype(np.uint64)
        .flatten()
    )


def core_count() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
