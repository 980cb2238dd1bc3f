"""Copies: generated images that are closer to a training image than unseen images are."""

import math
from dataclasses import dataclass

import torch

from ddpm_cli.metrics.intervals import Number, of_share
from ddpm_cli.metrics.precision_recall import nearest_neighbours
from ddpm_cli.shapes import Each, Features, Indices, Others, Truths

AMONG = 50  # neighbours whose mean distance is compared with the nearest neighbour's
FEWEST = 40  # fewer held-out images say too little
CLOSEST = 0.05  # share of unseen images below the threshold
DOUBT = 0.01  # probability of so many copies among unseen images
OUTLYING = 7.0  # robust standard deviations of the log ratio from which an image is a near copy
UNSEEN, TRAINING = "held-out images are", "training images are to one another"  # set the threshold


@dataclass(frozen=True)
class Copies:
    """The copies among N generated images.

    ratios [N]: distance to the nearest training image / mean distance to the nearest 50.
    nearest [N]: place of the nearest training image. mirrored [N]: whether the mirror image is
    the nearest. threshold: the highest ratio of a copy. share: the share of copies. nominal: the
    expected share among images that the model never saw. chance: the probability of this or a
    higher share among such images. against: the images that set the threshold, in words.
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
        """The verdict in one sentence: the model copies if `chance` is below 1%."""
        low, high = 100 * self.share.low, 100 * self.share.high
        share = f"{self.share.value:.1%} [{low:.1f}, {high:.1f}] of the samples"
        closest = f"the closest {self.nominal:.0%} of {self.against}"
        copying = self.chance < DOUBT
        others = "images that it never saw" if self.against == UNSEEN else "these"
        none = f"no more than {others}"
        verdict = "the model copies" if copying else none
        return f"copies: {share} are as close to a training image as {closest}: {verdict}"


def copies(
    generated: Features,
    mirrored: Features,
    training: Others,
    *,
    held_out: Others | None,
    held_out_mirrored: Others | None,
    training_mirrored: Others | None,
) -> Copies:
    """Find copies by ratios of distances, of images and of their mirror images.

    Carlini et al. 2023, section 5; Webster et al. 2023. 5% of the unseen images' ratios lie up to
    the threshold. If the model copied nothing, generated and unseen ratios would have one
    distribution. The number of generated ratios up to the r-th of m unseen ratios would then
    follow the beta-binomial law (r, m + 1 - r), with mean share r / (m + 1). The law includes the
    uncertainty of the threshold and of the share. The lowest unseen ratio is a second threshold,
    of samples that are closer than any unseen image. Of models that copy nothing, 1 in 100 seems to
    copy; with 100 training and no held-out images 2, with 20 of these 7 in 100.
    """
    if len(training) < 3:
        raise ValueError(
            f"copies are found among at least 3 training images, but there are {len(training)}"
        )
    others, against = unseen_ratios(held_out, held_out_mirrored, training, training_mirrored)
    rank = max(1, int(CLOSEST * (len(others) + 1)))
    ratios, nearest, flipped = neighbour_ratios(generated, mirrored, training, alone=False)
    counts = {each: int((ratios <= others[each - 1]).sum()) for each in (1, rank)}
    chances = [tail_probability(n, len(ratios), each, len(others)) for each, n in counts.items()]
    return Copies(
        ratios=ratios,
        nearest=nearest,
        mirrored=flipped,
        threshold=float(others[rank - 1]),
        share=of_share(counts[rank], len(ratios)),
        nominal=rank / (len(others) + 1),
        chance=min(1.0, len(chances) * min(chances)),
        against=against,
    )


def unseen_ratios(
    held_out: Others | None,
    held_out_mirrored: Others | None,
    training: Others,
    training_mirrored: Others | None,
) -> tuple[Each, str]:
    """The sorted ratios of images that the model never saw, and these images in words.

    Fewer than 40 held-out images say too little: training images take their place. Neighbours
    equal to an image, and near copies among these images, are left out.
    """
    if held_out is not None and len(held_out) >= FEWEST:
        images, mirrored, text = held_out, held_out_mirrored, UNSEEN
    else:
        images, mirrored, text = training, training_mirrored, TRAINING
    assert mirrored is not None
    ratios, _, _ = neighbour_ratios(images, mirrored, training, alone=True)
    return without_near_copies(ratios).sort().values, text


def without_near_copies(ratios: Each) -> Each:
    """The ratios of images but for near copies of training images, which are not unseen.

    A set that holds a picture twice, in two sizes or formats, would set the threshold to almost 0.
    """
    logs = ratios.clamp(min=torch.finfo(torch.float64).tiny).log()
    middle = logs.median()
    deviation = 1.4826 * (logs - middle).abs().median()  # the standard deviation of a normal law
    return ratios[logs >= middle - OUTLYING * deviation] if deviation > 0 else ratios


def neighbour_ratios(
    images: Features, mirrored: Features, training: Others, *, alone: bool
) -> tuple[Each, Indices, Truths]:
    """Ratios, places of the nearest training images, and whether the mirror image is the nearest.

    alone: whether to leave out training images that are equal to an image.
    """
    k, besides = min(AMONG, len(training)), images if alone else None
    plain, place = nearest_neighbours(images, training, k, besides=besides)
    turned, place_turned = nearest_neighbours(mirrored, training, k, besides=besides)
    flipped = turned[:, 0] < plain[:, 0]
    distances = torch.where(flipped[:, None], turned, plain)
    finite = distances.isfinite()
    mean = distances.where(finite, 0).sum(dim=1) / finite.sum(dim=1).clamp(min=1)
    ratio = distances[:, 0] / mean.clamp(min=torch.finfo(torch.float64).tiny)
    places = torch.where(flipped, place_turned[:, 0], place[:, 0])
    return ratio.nan_to_num(posinf=1.0), places, flipped


def tail_probability(count: int, total: int, rank: int, others: int) -> float:
    """The probability that `count` or more of `total` numbers lie up to the rank-th of `others`.

    All numbers have one distribution: the law is beta-binomial.
    """
    ways = (
        log_binomial(each, rank - 1)
        + log_binomial(total - each, others - rank)
        - log_binomial(total, others)
        for each in range(count, total + 1)
    )
    return min(1.0, math.fsum(map(math.exp, ways)))


def log_binomial(one: int, other: int) -> float:
    """The logarithm of the number of orders of `one` and `other` things of two kinds."""
    return math.lgamma(one + other + 1) - math.lgamma(one + 1) - math.lgamma(other + 1)
