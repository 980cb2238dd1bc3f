"""Copies among images.

Exact copies have the same content hash. Near copies have similar perceptual hashes and pixels.
"""

import math
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from ddpm_cli.image_sets.decoding import Hashes, Records
from ddpm_cli.images import ImageArray, select_images
from ddpm_cli.shapes import PerImage

APART = 3  # bits of 64 by which perceptual hashes of near copies may differ
BANDS = 4  # bands of 16 bits, one more than APART: near copies share at least one band
NEIGHBOURS = 64  # hashes in a band to compare a hash with
ENOUGH = 100_000  # pairs to compare
CLOSE = 8.0  # levels of 255 by which near copies may differ (root mean square)
BLOCK = 2**22  # bytes of images to compare at once
Places: TypeAlias = NDArray[np.int64]


def exact_copies(records: Records) -> list[Places]:
    """The places of images with equal prepared bytes, group by group."""
    _, group, counts = np.unique(records["word"], return_inverse=True, return_counts=True)
    copies = np.flatnonzero(counts[group] > 1)
    order = copies[np.argsort(group[copies], kind="stable")]
    groups = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    return sorted((places for places in groups if len(places)), key=lambda places: places[0])


def near_copies(images: ImageArray, records: Records) -> Places:
    """Pairs [N, 2] of different images that look alike; not every pair of a very large group.

    The first of several exact copies stands for all of them.
    """
    firsts = np.sort(np.unique(records["word"], return_index=True)[1])
    pairs = firsts[candidate_pairs(records["look"][firsts].astype(np.uint64))]
    size = max(1, BLOCK // math.prod(images.shape[1:]))
    blocks = torch.split(torch.from_numpy(pairs), size)
    distances = torch.cat([pair_distances(images, block) for block in blocks])
    return pairs[distances.numpy() <= CLOSE]


def candidate_pairs(hashes: Hashes, *, enough: int = ENOUGH) -> Places:
    """Pairs [N, 2] of hashes that differ in few bits, until there are enough.

    enough: pairs to find; the number of hashes if it is larger.
    """
    count, keys = len(hashes), np.empty(0, np.int64)
    bands = [rotated_hashes(hashes, band) for band in range(BANDS)]
    for step in range(1, min(NEIGHBOURS, count - 1) + 1):
        pairs = np.concatenate([similar_pairs(*band, step) for band in bands])
        keys = np.union1d(keys, pairs.min(1) * count + pairs.max(1))
        if len(keys) > max(count, enough):
            break
    return np.stack(np.divmod(keys, max(1, count)), axis=1)


def rotated_hashes(hashes: Hashes, band: int) -> tuple[Places, Hashes]:
    """The order of the hashes after a rotation that puts a band first, and the ordered hashes."""
    shifts = np.arange(0, 64, 16, dtype=np.uint64)
    bands = np.roll(hashes[:, None] >> shifts & np.uint64(0xFFFF), band, axis=1)
    rotated = (bands << shifts).sum(1, dtype=np.uint64)
    order = np.argsort(rotated, kind="stable")
    return order, rotated[order]


def similar_pairs(order: Places, rotated: Hashes, step: int) -> Places:
    """The pairs `step` places apart that share the leading band and differ in few bits."""
    difference = rotated[step:] ^ rotated[:-step]
    is_close = (difference >> np.uint64(48) == 0) & (np.bitwise_count(difference) <= APART)
    return np.stack([order[:-step][is_close], order[step:][is_close]], axis=1)


def pair_distances(images: ImageArray, pairs: torch.Tensor) -> PerImage:
    """The root mean square difference of each pair, in levels of 255."""
    if not len(pairs):
        return torch.empty(0)
    one, other = (select_images(images, places).float() for places in pairs.unbind(1))
    return (one - other).square().flatten(1).mean(1).sqrt()
