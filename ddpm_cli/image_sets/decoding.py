"""Decoding: threads read every image of a source once and in order, few at a time in memory."""

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

from ddpm_cli.data.preparation import Preparation
from ddpm_cli.data.sources.pages import page_count
from ddpm_cli.data.sources.source import Source
from ddpm_cli.image_sets.value_ranges import first_ranges, ranges_by_kind
from ddpm_cli.images import ImageArray, prepare_image, upright_size
from ddpm_cli.pixels.values import Ranges, image_mode, value_extremes, value_kind
from ddpm_cli.shapes import Bytes

RECORD = np.dtype(
    [
        ("place", "<i8"),  # place in the source
        ("word", "<u8"),  # a hash of the prepared bytes
        ("look", "<u8"),  # a perceptual hash, alike for images that look alike
        ("width", "<i4"),  # of the original
        ("height", "<i4"),
        ("mode", "S8"),
        ("pages", "<i4"),  # of the original's file
        ("low", "u1"),  # the smallest prepared byte
        ("high", "u1"),
        ("plain", "?"),  # of one colour
        ("least", "<f8"),  # the smallest value of the original, if it has more than 8 bits
        ("most", "<f8"),  # the greatest
    ]
)
VISIBLE = 1  # level of 255; JPEG leaves smaller differences of brightness on a plain ground
BLOCK = 2**22  # bytes of images that a thread decodes at once
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
PROGRESS: dict[str, Any] = {"delay": 2, "leave": False, "dynamic_ncols": True}
UNSUPPORTED = (ImportError, NotImplementedError)
DAMAGED = (EOFError, OSError, SyntaxError, struct.error, zlib.error)
VALUES = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
FAULTS = (*VALUES, *DAMAGED, *UNSUPPORTED)
UNREADABLE = (*FAULTS, Image.DecompressionBombError)
LIMITS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
MACHINE = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, *LIMITS)  # errors of the machine
Records: TypeAlias = NDArray[Any]
Hashes: TypeAlias = NDArray[np.uint64]
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Decoded:
    """The readable images of a source with their records, and (name, reason) of unreadable images.

    folder: the folder of images on a disk. seconds: the time of the decoding.
    """

    images: ImageArray
    records: Records
    unreadable: Sequence[tuple[str, str]]
    folder: Path | None = None
    seconds: float = 0.0


def decode_all(
    source: Source,
    preparation: Preparation,
    store: Callable[[int, Bytes], object],
    *,
    threads: int,
    verbose: bool,
) -> tuple[Records, list[tuple[str, str]]]:
    """Decode all images; return records of readable images, and (name, reason) of the others.

    store: a function that takes the images block by block, with the place of the first image. All
    images are decoded once more if their values have another range than the likely one.
    """
    decode = partial(decode_images, source, preparation, store, threads=threads, verbose=verbose)
    likely = first_ranges(preparation, source.rules)
    records, unreadable = decode(likely)
    ranges = ranges_by_kind(records, source, preparation)
    return (records, unreadable) if ranges == likely else decode(ranges)


def decode_images(
    source: Source,
    preparation: Preparation,
    store: Callable[[int, Bytes], object],
    ranges: Ranges | None,
    *,
    threads: int,
    verbose: bool,
) -> tuple[Records, list[tuple[str, str]]]:
    """Decode all images with these ranges of values."""
    total, count = source.count, 0
    records: Records = np.zeros(total, dtype=RECORD)
    unreadable: list[tuple[str, str]] = []
    size = max(1, min(32, BLOCK // math.prod(preparation.stored_shape)))
    blocks = (range(total)[first : first + size] for first in range(0, total, size))
    bar = tqdm(total=total, desc="decoding", unit=" images", disable=not verbose, **PROGRESS)
    with (
        bar,
        ThreadPoolExecutor(threads) as pool,
        catch_warnings(action="ignore", category=Image.DecompressionBombWarning),
    ):
        decode = partial(decode_block, source, preparation, ranges)
        for images, rows, faults in prefetch(pool, decode, blocks, 2 * threads):
            store(count, images)
            records[count : count + len(rows)] = rows
            count += len(rows)
            unreadable += faults
            bar.update(len(rows) + len(faults))
    return records[:count], unreadable


def decode_block(
    source: Source, preparation: Preparation, ranges: Ranges | None, indices: range
) -> tuple[Bytes, Records, list[tuple[str, str]]]:
    """Decode some images; return the readable ones, their records, and the faults of the others."""
    shape, crop = preparation.stored_shape, preparation.crop
    readable, rows, faults = [torch.empty(0, *shape, dtype=torch.uint8)], [], []
    for index in indices:
        try:
            image = source.open(index)
            facts = original_facts(image)  # before an image is shrunk or closed
            pixels = prepare_image(image, shape, crop, ranges=ranges, rules=source.rules)
            readable.append(pixels[None])
            rows.append((index, *facts))
        except UNREADABLE as error:
            faults.append((source.name(index), fault_text(error)))
    images, records = torch.cat(readable), np.zeros(len(rows), dtype=RECORD)
    originals = ["place", "width", "height", "mode", "least", "most", "pages"]
    records[originals] = np.array(rows, dtype=records[originals].dtype)
    records["word"], records["look"] = content_hash(images), perceptual_hash(images)
    low, high = images.flatten(2).amin(2).numpy(), images.flatten(2).amax(2).numpy()
    records["low"], records["high"] = low.min(1), high.max(1)
    records["plain"] = (low == high).all(1)
    return images, records, faults


def original_facts(image: Image.Image | NDArray[Any]) -> tuple[int, int, bytes, float, float, int]:
    """Width, height, mode, least and greatest value, and pages of an image that is not prepared."""
    mode = image_mode(image)
    extremes = value_extremes(image) if value_kind(mode) else (0.0, 0.0)
    width, height = upright_size(image) if isinstance(image, Image.Image) else image.shape[1::-1]
    return width, height, mode.encode(), *extremes, page_count(image)


def fault_text(error: Exception) -> str:
    """The fault of an image in one line without its name; raises an error of the machine."""
    if isinstance(error, OSError) and error.errno in MACHINE:
        raise error
    if isinstance(error, UnidentifiedImageError):
        return "it is no image of a known format"
    reason = error.strerror if isinstance(error, OSError) else None
    return " ".join((reason or str(error)).split()) or type(error).__name__


def prefetch(
    pool: Executor, function: Callable[[Item], Result], items: Iterable[Item], count: int
) -> Iterator[Result]:
    """Yield a function's results in the order of the items, with at most `count` begun ahead."""
    begun: deque[Future[Result]] = deque()
    for item in items:
        begun.append(pool.submit(function, item))
        if len(begun) == count:
            yield begun.popleft().result()
    while begun:
        yield begun.popleft().result()


def content_hash(images: Bytes) -> Hashes:
    """A hash of 64 bits of each image, which decides whether the image is held out or a copy."""
    contents = (image.data for image in images.contiguous().numpy())
    digests = (hashlib.blake2b(content, digest_size=8).digest() for content in contents)
    return np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)


def perceptual_hash(images: Bytes) -> Hashes:
    """A difference hash of 64 bits, most of which near copies share.

    A bit says whether brightness grows from one of 8 x 9 cells to the next.
    """
    cells = adaptive_avg_pool2d(images.float().mean(1, keepdim=True), (8, 9)).flatten(0, 1)
    bits = np.packbits(cells.diff(dim=2).flatten(1).numpy() > VISIBLE, axis=1)
    return bits.view(">u8").astype(np.uint64).flatten()
