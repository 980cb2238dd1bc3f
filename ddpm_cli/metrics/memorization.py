"""Copies: generated images that lie closer to a training image than images do that the model never saw."""

import math
from dataclasses import dataclass

import torch

from ddpm_cli.metrics.intervals import Number, of_share
from ddpm_cli.metrics.precision_recall import nearest_neighbours
from ddpm_cli.shapes import Each, Features, Indices, Others, Truths

AMONG = 50  # neighbours, whose mean distance the nearest one's is compared with
FEWEST = 40  # held-out images; fewer tell too little
CLOSEST = 0.05  # of the images that the model never saw
DOUBT = 0.01  # how often images that it never saw may be called copies


@dataclass(frozen=True)
class Copies:
    """What was found of N generated images.

    ratios [N]: distance to the nearest training image / mean distance to the nearest 50. nearest [N]: its place in the training images.
    mirrored [N]: whether it is nearest to the mirror image. threshold: ratios up to it are copies'. share: of copies. nominal: the share
    to be expected of images that the model never saw. chance: that so many or more of them would be. against: what they are compared with.
    """

    ratios: Each
    nearest: Indices
    mirrored: Truths
    threshold: float
    share: Number
    nominal: float
    chance: float
    against: str

    def summary(self) -> str:
        """The verdict in a sentence: a model copies if it is so improbable (1%) that images which it never saw come so close."""
        share = f"{self.share.value:.1%} [{100 * self.share.low:.1f}, {100 * self.share.high:.1f}] of the samples"
        verdict = (
            "the model copies" if self.chance < DOUBT else "no more than images that it never saw"
        )
        return f"copies: {share} are as close to a training image as the closest {self.nominal:.0%} of {self.against}: {verdict}"


def copies(
    generated: Features,
    mirrored: Features,
    training: Others,
    *,
    held_out: Others | None,
    held_out_mirrored: Others | None,
    training_mirrored: Others | None,
) -> Copies:
    """Finds copies by the ratio of distances, of images and their mirror images (Carlini et al. 2023, section 5; Webster et al. 2023).

    A ratio is a copy's up to the threshold, below which lie 5% of the ratios of the held-out images; fewer than 40 tell too little, and the
    training images take their place (which takes `training_mirrored`), each without itself. Exact copies of either among the training
    images are left out. If the model copied nothing, the ratios of generated and held-out images were drawn alike, and how many of the
    generated lie up to the r-th of m held-out ones follows the beta-binomial law (r, m + 1 - r), whose mean is r / (m + 1): it holds the
    uncertainty of the threshold and that of the share. Of models that copy nothing, about 1 in 100 is said to; with 20 training images and
    none held out, 5 in 100.
    """
    if len(training) < 3:
        raise ValueError(
            f"copies are found among at least 3 training images, but there are {len(training)}"
        )
    apart = held_out is not None and len(held_out) >= FEWEST
    never_seen, never_seen_mirrored = (
        (held_out, held_out_mirrored) if apart else (training, training_mirrored)
    )
    assert never_seen is not None and never_seen_mirrored is not None
    others = ratios(never_seen, never_seen_mirrored, training, alone=True)[0].sort().values
    rank = max(1, int(CLOSEST * (len(others) + 1)))
    found, places, flipped = ratios(generated, mirrored, training, alone=False)
    count = int((found <= others[rank - 1]).sum())
    return Copies(
        ratios=found,
        nearest=places,
        mirrored=flipped,
        threshold=float(others[rank - 1]),
        share=of_share(count, len(found)),
        nominal=rank / (len(others) + 1),
        chance=tail_probability(count, len(found), rank, len(others)),
        against="held-out images are" if apart else "training images are to one another",
    )


def ratios(
    images: Features, mirrored: Features, training: Others, *, alone: bool
) -> tuple[Each, Indices, Truths]:
    """Ratio, place of the nearest, and whether it is nearest to the mirror image; `alone`: without equal training images."""
    k, besides = min(AMONG, len(training)), images if alone else None
    plain, place = nearest_neighbours(images, training, k, besides=besides)
    turned, place_turned = nearest_neighbours(mirrored, training, k, besides=besides)
    flipped = turned[:, 0] < plain[:, 0]
    distances = torch.where(flipped[:, None], turned, plain)
    among = distances.isfinite()
    mean = distances.where(among, 0).sum(dim=1) / among.sum(dim=1).clamp(min=1)
    ratio = (distances[:, 0] / mean.clamp(min=torch.finfo(torch.float64).tiny)).nan_to_num(
        posinf=1.0
    )
    return ratio, torch.where(flipped, place_turned[:, 0], place[:, 0]), flipped


def tail_probability(count: int, total: int, rank: int, others: int) -> float:
    """How probable it is that `count` or more of `total` numbers lie up to the rank-th of so many others drawn alike (beta-binomial)."""
    every = range(count, total + 1)
    ways = (
        log_binomial(each, rank - 1)
        + log_binomial(total - each, others - rank)
        - log_binomial(total, others)
        for each in every
    )
    return min(1.0, math.fsum(map(math.exp, ways)))


def log_binomial(one: int, other: int) -> float:
    """The logarithm of the number of orders of `one` things and `other` things."""
    return math.lgamma(one + other + 1) - math.lgamma(one + 1) - math.lgamma(other + 1)
