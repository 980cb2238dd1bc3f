"""Intervals of paired differences: how often they hold, and the metrics that they are of."""

import math

import pytest
import scipy.stats
import torch

from ddpm_cli.metrics import (
    Moments,
    frechet,
    frechet_distance,
    kernel_distance,
    moments,
    paired_difference,
)
from ddpm_cli.metrics.frechet import symmetric_root
from ddpm_cli.metrics.kernel import row_means
from ddpm_cli.metrics.paired import frechet_score, kernel_score, student_over_normal

TRIALS, ERROR = 200, 0.05 + 3 * 0.0154  # and the level, with 3 standard errors
SIDES = 6


def pair(seed, n, dimensions=SIDES, gain=0.0, scale=0.8, shared=0.9):
    """Features of two settings from shared noise; the second is nearer to the reference by gain."""
    draw = torch.Generator().manual_seed(seed)
    noise, own = (torch.randn(n, dimensions, generator=draw, dtype=torch.float64) for _ in range(2))
    other = shared * noise + math.sqrt(1 - shared**2) * own
    return 0.2 + scale * noise, 0.2 - gain + scale * other


def white(dimensions=SIDES):
    eye = torch.eye(dimensions, dtype=torch.float64)
    return Moments(torch.zeros(dimensions, dtype=torch.float64), eye), symmetric_root(eye)


def differences(n, **options):
    """Paired differences of many trials."""
    reference = white(options.get("dimensions", SIDES))
    pairs = (pair(seed, n, **options) for seed in range(TRIALS))
    scores = [[frechet_score(each, *reference) for each in both] for both in pairs]
    return [paired_difference(other, one) for one, other in scores]


def share_beside_zero(numbers):
    return sum(number.low > 0 or number.high < 0 for number in numbers) / len(numbers)


def test_two_settings_of_one_distribution_differ_in_at_most_5_of_100_cases():
    assert share_beside_zero(differences(100)) < ERROR


@pytest.mark.parametrize("scale", [0.5, 0.8])
def test_so_do_they_for_about_as_many_images_as_features(scale):
    assert share_beside_zero(differences(40, dimensions=16, scale=scale)) < ERROR


def test_a_true_difference_is_found():
    better = [number.high < 0 for number in differences(400, gain=0.1)]
    assert sum(better) > 0.95 * TRIALS


def test_the_same_images_do_not_differ():
    reference, (one, _) = white(), pair(0, 60)
    number = paired_difference(frechet_score(one, *reference), frechet_score(one, *reference))
    assert (number.value, number.low, number.high) == (0, 0, 0)


def test_pairing_narrows_the_interval():
    reference, (one, other) = white(), pair(0, 400)
    scores = frechet_score(one, *reference), frechet_score(other, *reference)
    paired, apart = paired_difference(*scores), frechet(one, reference[0])
    assert paired.high - paired.low < 0.6 * (apart.high - apart.low)


def test_the_bootstrap_of_influences_is_that_of_the_images():
    (one, other), (reference, side) = pair(0, 400), white()
    number = paired_difference(*(frechet_score(each, reference, side) for each in (one, other)))
    draw = torch.Generator().manual_seed(1)
    places = [torch.randint(400, (400,), generator=draw) for _ in range(300)]
    again = [
        frechet_distance(moments(one[each]), reference)
        - frechet_distance(moments(other[each]), reference)
        for each in places
    ]
    spread = torch.tensor(again).std()
    assert (number.high - number.low) / (2 * 1.96) == pytest.approx(float(spread), rel=0.15)


def test_an_interval_of_more_tries_is_wider():
    reference, (one, other) = white(), pair(0, 100)
    scores = frechet_score(one, *reference), frechet_score(other, *reference)
    single, corrected = paired_difference(*scores), paired_difference(*scores, tried=20)
    ratio = (corrected.high - corrected.low) / (single.high - single.low)
    expected = scipy.stats.t.isf(0.025 / 20, 99) / scipy.stats.t.isf(0.025, 99)
    assert ratio == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(("tail", "freedom"), [(0.025, 19), (0.025 / 20, 19), (0.001, 1023)])
def test_the_widening_is_that_of_students_t(tail, freedom):
    expected = scipy.stats.t.isf(tail, freedom) / scipy.stats.norm.isf(tail)
    assert student_over_normal(tail, freedom) == pytest.approx(expected, rel=2e-3)


def test_scores_are_the_metrics():
    one, other = pair(0, 60)
    reference = moments(other)
    score = frechet_score(one, reference, symmetric_root(reference.covariance))
    assert score.value == pytest.approx(frechet_distance(moments(one), reference))
    alike = float(row_means(other, other, itself=True).mean())
    assert kernel_score(one, other, alike).value == kernel_distance(one, other).value
