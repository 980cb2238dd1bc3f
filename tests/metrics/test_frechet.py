"""The Fréchet distance against its closed forms."""

import sys

import numpy as np
import pytest
import torch

from ddpm_cli.metrics import frechet_distance, moments

FEATURES = torch.randn(500, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64) @ torch.diag(
    torch.arange(1.0, 7.0).double()
)


@pytest.fixture
def white():
    """Features whose mean is 0 and whose covariance is the identity, to rounding."""
    found = moments(FEATURES)
    return (FEATURES - found.mean) @ torch.linalg.inv(torch.linalg.cholesky(found.covariance)).T


def test_moments_are_those_of_numpy_whatever_the_parts(monkeypatch):
    monkeypatch.setattr(sys.modules["ddpm_cli.metrics.frechet"], "ROWS", 7)
    found = moments(FEATURES.float())
    np.testing.assert_allclose(found.mean, FEATURES.numpy().mean(0), atol=1e-6)
    np.testing.assert_allclose(found.covariance, np.cov(FEATURES.numpy(), rowvar=False), rtol=1e-5, atol=1e-5)


def test_a_set_is_at_no_distance_from_itself():
    assert frechet_distance(moments(FEATURES), moments(FEATURES)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0, 3.0])
def test_scaled_and_shifted_features_are_apart_as_the_formula_says(white, scale):
    shift = torch.arange(6.0)
    expected = 6 * (1 - scale) ** 2 + float(shift.square().sum())
    assert frechet_distance(moments(white), moments(scale * white + shift)) == pytest.approx(expected, abs=1e-6)


def test_the_distance_has_no_direction():
    one, other = moments(FEATURES), moments(FEATURES.flip(1) + 1)
    assert frechet_distance(one, other) == pytest.approx(frechet_distance(other, one))


def test_one_image_has_no_covariance():
    with pytest.raises(ValueError, match="at least 2 images, but there are 1"):
        moments(FEATURES[:1])
