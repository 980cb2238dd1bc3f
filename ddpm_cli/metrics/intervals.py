"""95% intervals of a number over other n images of the same model and the same reference."""

import math
from dataclasses import dataclass

import torch

from ddpm_cli.shapes import Each

RESAMPLES, TAIL = 2000, 0.025  # the resamples of an interval, and the share beyond either end
AT_ONCE = 2**22  # numbers drawn at a time
DEVIATIONS = 1.959963984540054  # standard deviations on either side that hold 95%


@dataclass(frozen=True)
class Number:
    """A figure and the ends of its 95% interval."""

    value: float
    low: float
    high: float


def of_mean(value: float, influences: Each) -> Number:
    """A number that each of N images moves by its influence / N, with a seeded bootstrap interval.

    Efron 1979: the quantiles of the influences' mean over 2,000 resamples.
    """
    low, high = resampled_ends(influences, TAIL, RESAMPLES)
    return Number(value, value + low, value + high)


def resampled_ends(influences: Each, tail: float, resamples: int) -> tuple[float, float]:
    """The quantiles `tail` and 1 - `tail` of the influences' mean, about 0, over seeded resamples.

    The means are stretched by (N / (N - 1))^(1/2), since resamples of N images vary too little.
    """
    count = len(influences)
    if count < 2:
        raise ValueError(f"an interval takes at least 2 images, but there are {count}")
    generator = torch.Generator().manual_seed(0)
    spread = (influences - influences.mean()) * math.sqrt(count / (count - 1))
    parts = torch.split(torch.arange(resamples), max(1, AT_ONCE // count))
    draws = (torch.randint(count, (len(part), count), generator=generator) for part in parts)
    means = torch.cat([spread[draw].mean(dim=1) for draw in draws])
    ends = torch.tensor([tail, 1 - tail], dtype=torch.float64)
    low, high = torch.quantile(means, ends).tolist()
    return low, high


def of_share(count: int, total: int) -> Number:
    """The share of `count` images among `total`, each independent of the others (Wilson 1927)."""
    if total < 1:
        raise ValueError("a share takes at least 1 image, but there are 0")
    share, square = count / total, DEVIATIONS**2 / total
    centre = (share + square / 2) / (1 + square)
    reach = math.sqrt(square * share * (1 - share) + square**2 / 4) / (1 + square)
    low = max(0.0, centre - reach) if count else 0.0
    return Number(share, low, min(1.0, centre + reach) if count < total else 1.0)
