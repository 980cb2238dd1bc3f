"""Nearest neighbours among features, and precision and recall by nearest neighbours."""

import statistics

import torch

from ddpm_cli.metrics.intervals import Number, of_share
from ddpm_cli.shapes import Distances, Each, Features, Others, Pairs, Places, Reaches, Sets

BLOCK = 2048  # rows and columns of distances at a time
ROWS = 256  # rows of distances at a time, with all columns
HALVES = 32  # random halves of the images
STUDENT = 2.0395  # standard deviations that hold 95%, by Student's t for HALVES halves
SAME = 1e-5  # the largest distance of two features of one image, relative to their length


def equal_features(x: Features, y: Others) -> Pairs:
    """Whether pairs of features are of one image, up to the rounding of another batch."""
    return torch.cdist(x, y) <= SAME * x.norm(dim=1, keepdim=True)


def nearest_neighbours(
    one: Features, other: Others, k: int, *, besides: Features | None = None, block: int = BLOCK
) -> tuple[Distances, Places]:
    """The distances and places of the k nearest features of `other`, the nearest first.

    besides: features; a feature of `other` equal to the row of `besides` is infinitely far.
    block: rows and columns of distances at a time.
    """
    parts = []
    for rows in torch.split(torch.arange(len(one)), block):
        x, near = one[rows].double(), torch.empty(len(rows), 0, dtype=torch.float64)
        places = torch.empty(len(rows), 0, dtype=torch.int64)
        for columns in torch.split(torch.arange(len(other)), block):
            y = other[columns].double()
            apart = torch.cdist(x, y)
            if besides is not None:
                apart = apart.masked_fill(equal_features(besides[rows].double(), y), torch.inf)
            count = min(k, near.shape[1] + len(columns))
            near, order = torch.cat([near, apart], dim=1).topk(count, largest=False)
            places = torch.cat([places, columns.expand_as(apart)], dim=1).gather(1, order)
        parts.append((near, places))
    return torch.cat([near for near, _ in parts]), torch.cat([places for _, places in parts])


def precision_recall(
    generated: Features, reference: Others, *, k: int, block: int = BLOCK, rows: int = ROWS
) -> dict[str, Number]:
    """The share of each set within reach of the other; a feature reaches its own k-th neighbour.

    Kynkäänniemi et al. 2019, eq. 1-2. Precision counts generated images, which are independent of
    each other; recall counts reference images. block: of `nearest_neighbours`. rows: rows of
    distances at a time, with all columns.
    """
    most = min(len(generated) // 2, len(reference))
    if not 1 <= k < most:
        raise ValueError(f"k must be at least 1 and less than {most} for so few images, but is {k}")
    reach = nearest_neighbours(reference, reference, k + 1, block=block)[0][:, k]
    images = reference.double()
    inside = [
        (torch.cdist(part.double(), images) <= reach).any(dim=1)
        for part in torch.split(generated, rows)
    ]
    return {
        "precision": of_share(int(torch.cat(inside).sum()), len(generated)),
        "recall": recall_share(generated, reference, k, block, rows),
    }


def recall_share(generated: Features, reference: Others, k: int, block: int, rows: int) -> Number:
    """The share of the reference within reach of generated images; the interval by random halves.

    The recall of a half varies about the halves' mean as the recall of all images about its own:
    the jackknife that leaves out half, Shao & Wu 1989. The jackknife that leaves out one image
    gives up to twice the width. At 0 and 1, where halves need not vary, the interval holds Wilson's
    for the smaller of the two sets.
    """
    reaches = neighbour_reach(generated, random_halves(len(generated)), k, block)
    images, counts = generated.double(), torch.zeros(len(reaches), dtype=torch.int64)
    for part in torch.split(reference, rows):
        apart = torch.cdist(part.double(), images)
        counts = counts + torch.stack([(apart <= reach).any(dim=1).sum() for reach in reaches])
    return share_by_halves(counts.double() / len(reference), min(len(generated), len(reference)))


def random_halves(count: int) -> Sets:
    """All of `count` images, then random halves."""
    every = torch.ones(1, count, dtype=torch.bool)
    generators = (torch.Generator().manual_seed(seed) for seed in range(HALVES))
    orders = [torch.randperm(count, generator=each) for each in generators]
    return torch.cat([every, torch.stack(orders) < count // 2])


def share_by_halves(shares: Each, total: int) -> Number:
    """The first share with an interval by the others, which are of `random_halves`.

    At 0 and 1, where halves need not vary, the interval holds Wilson's for `total` images.
    """
    share, *halves = shares.tolist()
    margin = STUDENT * statistics.stdev(halves)
    low, high = max(0.0, share - margin), min(1.0, share + margin)
    if share in (0, 1):
        ends = of_share(int(share) * total, total)
        low, high = min(low, ends.low), max(high, ends.high)
    return Number(share, low, high)


def neighbour_reach(generated: Features, sets: Sets, k: int, block: int) -> Reaches:
    """Each image's distance to its k-th neighbour in each set; -1 for an image not in the set."""
    count = min(len(generated), 4 * k + 25)
    near, places = nearest_neighbours(generated, generated, count, block=block)
    reaches = []
    for members in sets:
        before = members[places[:, 1:]].cumsum(dim=1) < k
        reaches.append(near[:, 1:].masked_fill(before, torch.inf).amin(dim=1).where(members, -1))
    return torch.stack(reaches)
