"""The Fréchet distance against its closed forms."""

import numpy as np
import pytest
import torch

from ddpm_cli.metrics import Moments, frechet, frechet_distance, frechet_infinity, moments
from ddpm_cli.metrics.frechet import PARTS, distance_and_influences, symmetric_root

FEATURES = torch.randn(
    500, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64
) @ torch.diag(torch.arange(1.0, 7.0).double())


@pytest.fixture
def white():
    """Features whose mean is 0 and whose covariance is the identity, to rounding."""
    found = moments(FEATURES)
    return (FEATURES - found.mean) @ torch.linalg.inv(torch.linalg.cholesky(found.covariance)).T


def test_moments_are_those_of_numpy_whatever_the_parts():
    found = moments(FEATURES.float(), rows=7)
    np.testing.assert_allclose(found.mean, FEATURES.numpy().mean(0), atol=1e-6)
    np.testing.assert_allclose(
        found.covariance, np.cov(FEATURES.numpy(), rowvar=False), rtol=1e-5, atol=1e-5
    )


def test_a_set_is_at_no_distance_from_itself():
    assert frechet_distance(moments(FEATURES), moments(FEATURES)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0, 3.0])
def test_scaled_and_shifted_features_are_apart_as_the_formula_says(white, scale):
    shift = torch.arange(6.0)
    expected = 6 * (1 - scale) ** 2 + float(shift.square().sum())
    assert frechet_distance(moments(white), moments(scale * white + shift)) == pytest.approx(
        expected, abs=1e-6
    )


def test_the_distance_has_no_direction():
    one, other = moments(FEATURES), moments(FEATURES.flip(1) + 1)
    assert frechet_distance(one, other) == pytest.approx(frechet_distance(other, one))


def test_one_image_has_no_covariance():
    with pytest.raises(ValueError, match="at least 2 images, but there are 1"):
        moments(FEATURES[:1])


def test_the_figure_with_an_interval_is_the_same_distance():
    reference, found = moments(FEATURES[:250]), frechet(FEATURES[250:] + 1, moments(FEATURES[:250]))
    assert found.value == pytest.approx(frechet_distance(moments(FEATURES[250:] + 1), reference))
    assert found.low < found.value < found.high


def test_influences_are_those_of_leaving_an_image_out():
    generated, reference = 0.5 * FEATURES + 1, moments(FEATURES)
    whole = frechet_distance(moments(generated), reference)
    without = [
        frechet_distance(moments(torch.cat([generated[:i], generated[i + 1 :]])), reference)
        for i in range(40)
    ]
    found = distance_and_influences(generated, reference, symmetric_root(reference.covariance))[1]
    expected = (len(generated) - 1) * (whole - torch.tensor(without).double())
    torch.testing.assert_close((found - found.mean())[:40], expected, rtol=0.05, atol=0.5)


def test_sampled_gaussians_are_apart_as_the_closed_form_says_at_infinitely_many():
    normal = Moments(torch.zeros(6).double(), torch.eye(6).double())
    sample = 0.6 * torch.randn(2000, 6, generator=torch.Generator().manual_seed(1)) + 0.2
    expected = 6 * (0.4**2 + 0.2**2)
    assert frechet(sample, normal).value == pytest.approx(expected, rel=0.1)
    assert frechet_infinity(sample, normal).low < expected < frechet_infinity(sample, normal).high


def test_the_distance_at_infinitely_many_images_lacks_the_bias_of_few():
    normal = Moments(torch.zeros(6).double(), torch.eye(6).double())
    sample = torch.randn(200, 6, generator=torch.Generator().manual_seed(1))
    assert frechet(sample, normal).value > 3 * abs(frechet_infinity(sample, normal).value)


def test_the_line_through_three_sizes_is_that_of_least_squares():
    assert np.polyfit([1, 2, 4], np.eye(3), 1)[1] == pytest.approx(list(PARTS.values()))


def test_quarters_of_few_images_are_refused():
    with pytest.raises(ValueError, match="quarters take at least 8 images, but there are 7"):
        frechet_infinity(FEATURES[:7], moments(FEATURES))
