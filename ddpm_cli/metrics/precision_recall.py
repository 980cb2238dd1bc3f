"""Nearest neighbours among features, and what they tell: precision and recall."""

import statistics

import torch

from ddpm_cli.metrics.intervals import Number, of_share
from ddpm_cli.shapes import Distances, Features, Others, Pairs, Places, Reaches, Sets

BLOCK = 2048  # rows and columns of distances at a time
ROWS = 256  # where all columns are taken at once
HALVES, STUDENT = (
    32,
    2.0395,
)  # random halves of the images, and the deviations that hold 95% where so many tell the deviation
SAME = (
    1e-5  # of two features' length: they are apart by no more than this where they are one image's
)


def equal_features(x: Features, y: Others) -> Pairs:
    """Which pairs are features of one image, up to the rounding of another batch."""
    return torch.cdist(x, y) <= SAME * x.norm(dim=1, keepdim=True)


def nearest_neighbours(
    one: Features, other: Others, k: int, *, besides: Features | None = None
) -> tuple[Distances, Places]:
    """Distances and places of the k nearest of `other`, the nearest first; those equal to the row of `besides` are infinitely far."""
    found = []
    for rows in torch.split(torch.arange(len(one)), BLOCK):
        x, near, places = (
            one[rows].double(),
            torch.empty(len(rows), 0, dtype=torch.float64),
            torch.empty(len(rows), 0, dtype=torch.int64),
        )
        for columns in torch.split(torch.arange(len(other)), BLOCK):
            y = other[columns].double()
            apart = torch.cdist(x, y)
            if besides is not None:
                apart = apart.masked_fill(equal_features(besides[rows].double(), y), torch.inf)
            near, order = torch.cat([near, apart], dim=1).topk(
                min(k, near.shape[1] + len(columns)), largest=False
            )
            places = torch.cat([places, columns.expand_as(apart)], dim=1).gather(1, order)
        found.append((near, places))
    return torch.cat([near for near, _ in found]), torch.cat([places for _, places in found])


def precision_recall(generated: Features, reference: Others, *, k: int) -> dict[str, Number]:
    """Which share of each set lies within reach of the other, as far as the k-th neighbour of its own (Kynkäänniemi et al. 2019, eq. 1-2).

    Precision counts generated images, each independent of the others; recall counts reference images.
    """
    if not 1 <= k < min(len(generated) // 2, len(reference)):
        raise ValueError(
            f"k must be at least 1 and less than {min(len(generated) // 2, len(reference))} for so few images, but is {k}"
        )
    reach = nearest_neighbours(reference, reference, k + 1)[0][:, k]
    images = reference.double()
    inside = [
        (torch.cdist(rows.double(), images) <= reach).any(dim=1)
        for rows in torch.split(generated, ROWS)
    ]
    return {
        "precision": of_share(int(torch.cat(inside).sum()), len(generated)),
        "recall": recall_share(generated, reference, k),
    }


def recall_share(generated: Features, reference: Others, k: int) -> Number:
    """The share of the reference within reach of generated images; what random halves of them reach says how far it is by chance.

    The recall of a half varies about the halves' mean as that of all images about its own (the jackknife that leaves out half, Shao & Wu
    1989); leaving out one at a time, the interval would be up to twice as wide as it should be.
    """
    every = torch.ones(1, len(generated), dtype=torch.bool)
    orders = [
        torch.randperm(len(generated), generator=torch.Generator().manual_seed(seed))
        for seed in range(HALVES)
    ]
    reaches = neighbour_reach(
        generated, torch.cat([every, torch.stack(orders) < len(generated) // 2]), k
    )
    images, counts = generated.double(), torch.zeros(len(reaches), dtype=torch.int64)
    for rows in torch.split(reference, ROWS):
        apart = torch.cdist(rows.double(), images)
        counts = counts + torch.stack([(apart <= reach).any(dim=1).sum() for reach in reaches])
    share, *halves = (counts.double() / len(reference)).tolist()
    margin = STUDENT * statistics.stdev(halves)
    return Number(share, max(0.0, share - margin), min(1.0, share + margin))


def neighbour_reach(generated: Features, sets: Sets, k: int) -> Reaches:
    """How far each image is from its k-th neighbour in each of some sets of them, -1 where it is not in the set itself."""
    near, places = nearest_neighbours(generated, generated, min(len(generated), 4 * k + 25))
    found = []
    for members in sets:
        few = members[places[:, 1:]].cumsum(dim=1) < k
        found.append(near[:, 1:].masked_fill(few, torch.inf).amin(dim=1).where(members, -1))
    return torch.stack(found)
