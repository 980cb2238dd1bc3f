"""Intervals: how often those of other images hold what they are of, by simulation."""

import math
from statistics import mean

import pytest
import torch

from ddpm_cli.metrics import (
    Moments,
    class_score,
    copies,
    frechet,
    frechet_infinity,
    kernel_distance,
    of_mean,
    of_share,
    precision_recall,
)

DIMENSIONS = 4
REFERENCE = torch.randn(150, DIMENSIONS, generator=torch.Generator().manual_seed(1))
MANY = torch.randn(5000, DIMENSIONS, generator=torch.Generator().manual_seed(2))
NEVER_SEEN = torch.randn(400, DIMENSIONS, generator=torch.Generator().manual_seed(3))


def normal(dimensions):
    """The moments of the standard normal distribution."""
    return Moments(torch.zeros(dimensions).double(), torch.eye(dimensions).double())


def other(count):
    """Features of another model's images: shifted and narrower."""
    return 0.8 * torch.randn(count, DIMENSIONS) + 0.3


def of_normals(count):
    numbers = torch.randn(count).double()
    return of_mean(float(numbers.mean()), numbers)


def neighbours(count, which):
    return precision_recall(other(count), REFERENCE, k=3)[which]


def share_of_copies(count):
    found = other(count), other(count)
    return copies(
        *found, REFERENCE, held_out=NEVER_SEEN, held_out_mirrored=NEVER_SEEN, training_mirrored=None
    ).share


CASES = {
    "mean": (lambda: of_normals(100), lambda: 0.0),
    "share": (lambda: of_share(int((torch.rand(150) < 0.1).sum()), 150), lambda: 0.1),
    "frechet": (lambda: frechet(other(100), normal(DIMENSIONS)), None),
    "frechet of fewer images than features": (
        lambda: frechet(other(150).reshape(20, 30), normal(30)),
        None,
    ),
    "frechet_infinity": (
        lambda: frechet_infinity(other(160), normal(DIMENSIONS)),
        lambda: DIMENSIONS * (0.2**2 + 0.3**2),
    ),
    "kernel_distance": (
        lambda: kernel_distance(other(80), REFERENCE),
        lambda: kernel_distance(0.8 * MANY + 0.3, REFERENCE).value,
    ),
    "kernel_distance of the same": (
        lambda: kernel_distance(torch.randn(100, DIMENSIONS), REFERENCE),
        lambda: kernel_distance(MANY, REFERENCE).value,
    ),
    "precision": (lambda: neighbours(100, "precision"), None),
    "recall": (lambda: neighbours(100, "recall"), None),
    "class_score": (lambda: class_score(2 * torch.randn(100, 10)), None),
    "copies": (lambda: share_of_copies(100), None),
}  # how to draw a number anew, and what it should hold; None is its expectation


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_an_interval_holds_the_truth_in_90_to_99_of_100_repetitions(name):
    torch.manual_seed(0)
    draw, truth = CASES[name]
    found = [draw() for _ in range(200)]
    expected = mean(each.value for each in found) if truth is None else truth()
    coverage = mean(each.low <= expected <= each.high for each in found)
    assert 0.9 <= coverage <= 0.99, f"{name}: {coverage:.1%} of the intervals hold {expected:.4f}"


def test_a_share_has_the_interval_of_wilson():
    found = of_share(3, 10)
    assert (found.value, found.low, found.high) == pytest.approx(
        (0.3, 0.107791, 0.603222), abs=1e-6
    )


@pytest.mark.parametrize("count", [0, 20])
def test_a_share_of_none_or_all_has_an_end_where_it_is(count):
    found = of_share(count, 20)
    assert found.value in (found.low, found.high)
    assert found.high - found.low == pytest.approx(0.161, abs=1e-3)


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution():
    numbers = torch.randn(20000, generator=torch.Generator().manual_seed(0)).double()
    found = of_mean(5.0, numbers)
    half = 1.96 * float(numbers.std()) / math.sqrt(len(numbers))
    assert (found.low, found.high) == pytest.approx((5 - half, 5 + half), abs=0.05 * half)


def test_equal_influences_leave_no_doubt():
    found = of_mean(2.0, torch.full((5,), 3.0).double())
    assert found.low == found.high == 2


def test_an_interval_of_one_image_or_of_none_is_refused():
    with pytest.raises(ValueError, match="an interval takes at least 2 images, but there are 1"):
        of_mean(1.0, torch.ones(1).double())
    with pytest.raises(ValueError, match="a share takes at least 1 image, but there are 0"):
        of_share(0, 0)
