"""Copies among images: exact ones have one word; near ones have looks that hardly differ, which their pixels confirm."""

import math
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from ddpm_cli.data.decoding import Hashes, Records
from ddpm_cli.data.image_arrays import ImageArray, select_images
from ddpm_cli.shapes import PerImage

APART = 3  # bits of 64 in which the looks of near copies differ at most
BANDS = 4  # of 16 bits, one more than may differ: one at least is the same in both looks
NEIGHBOURS = 64  # in a band with which a look is compared
ENOUGH = 100_000  # pairs to be compared, or as many as there are images
CLOSE = 8.0  # levels of 255 by which near copies differ at most (root mean square)
BLOCK = 2**22  # bytes of images compared at once
Places: TypeAlias = NDArray[np.int64]


def exact_copies(records: Records) -> list[Places]:
    """The places of images whose prepared bytes are the same, group by group."""
    _, group, counts = np.unique(records["word"], return_inverse=True, return_counts=True)
    several = np.flatnonzero(counts[group] > 1)
    order = several[np.argsort(group[several], kind="stable")]
    groups = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    return sorted((places for places in groups if len(places)), key=lambda places: places[0])


def near_copies(images: ImageArray, records: Records) -> Places:
    """Pairs [N, 2] of different images that look alike, of exact copies the first; where very many look alike, not every pair."""
    firsts = np.sort(np.unique(records["word"], return_index=True)[1])
    pairs = firsts[candidate_pairs(records["look"][firsts].astype(np.uint64))]
    apart = [
        mean_differences(images, some)
        for some in torch.split(
            torch.from_numpy(pairs), max(1, BLOCK // math.prod(images.shape[1:]))
        )
    ]
    return pairs[torch.cat(apart).numpy() <= CLOSE]


def candidate_pairs(looks: Hashes) -> Places:
    """Pairs [N, 2] of looks that differ in few bits; nearest neighbours first, it stops once there are enough."""
    count, keys = len(looks), np.empty(0, np.int64)
    bands = [rotated_images(looks, band) for band in range(BANDS)]
    for step in range(1, min(NEIGHBOURS, count - 1) + 1):
        met = [similar_pairs(order, ordered, step) for order, ordered in bands]
        keys = np.union1d(
            keys, np.concatenate([pairs.min(1) * count + pairs.max(1) for pairs in met])
        )
        if len(keys) > max(count, ENOUGH):
            break
    return np.stack(np.divmod(keys, max(1, count)), axis=1)


def rotated_images(looks: Hashes, band: int) -> tuple[Places, Hashes]:
    """The order of looks whose bits are turned until a band of them leads, and the turned looks in that order."""
    by_band = np.roll(
        looks[:, None] >> np.arange(0, 64, 16, dtype=np.uint64) & np.uint64(0xFFFF), band, axis=1
    )
    whole = (by_band << np.arange(0, 64, 16, dtype=np.uint64)).sum(1, dtype=np.uint64)
    order = np.argsort(whole, kind="stable")
    return order, whole[order]


def similar_pairs(order: Places, ordered: Hashes, step: int) -> Places:
    """The pairs, so many places apart, that share the band which leads and differ in few bits."""
    differing = ordered[step:] ^ ordered[:-step]
    close = (differing >> np.uint64(48) == 0) & (np.bitwise_count(differing) <= APART)
    return np.stack([order[:-step][close], order[step:][close]], axis=1)


def mean_differences(images: ImageArray, pairs: torch.Tensor) -> PerImage:
    """By how many levels the two of each pair differ (root mean square)."""
    if not len(pairs):
        return torch.empty(0)
    one, other = (select_images(images, places).float() for places in pairs.unbind(1))
    return (one - other).square().flatten(1).mean(1).sqrt()
