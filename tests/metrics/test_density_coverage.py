"""Density and coverage: against the package prdc, and where they must be 0 and 1."""

import pytest
import torch

from ddpm_cli.metrics import density_coverage


def rows(count, width, seed):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


# of prdc 0.2 with nearest_k=5: images, features, scale and shift of the generated, and its figures
FIGURES = [
    ((70, 90), 4, 0.8, 0.4, 1.0514285714285714, 0.9444444444444444),
    ((300, 200), 16, 1.0, 0.3, 0.7413333333333334, 0.9),
    ((500, 400), 64, 0.9, 0.1, 2.9104, 1.0),
]


@pytest.mark.parametrize("block", [64, 2048])
@pytest.mark.parametrize(("counts", "width", "scale", "shift", "density", "coverage"), FIGURES)
def test_they_are_those_of_prdc(counts, width, scale, shift, density, coverage, block):
    generated, reference = scale * rows(counts[0], width, 1) + shift, rows(counts[1], width, 0)
    found = density_coverage(generated, reference, k=5, block=block, rows=block)
    assert found["density"].value == pytest.approx(density, abs=1e-6)
    assert found["coverage"].value == pytest.approx(coverage, abs=1e-6)
    assert all(each.low <= each.value <= each.high for each in found.values())


def test_images_far_away_have_neither_and_the_interval_says_how_sure_that_is():
    found = density_coverage(rows(70, 4, 1) + 100, rows(90, 4, 0), k=5)
    assert [each.value for each in found.values()] == [0, 0]
    assert found["coverage"].high == found["density"].high > 0.02


def test_a_set_covers_itself_with_its_own_density():
    reference = rows(90, 4, 0)
    found = density_coverage(reference, reference, k=5)
    assert found["coverage"].value == 1
    assert found["density"].value == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("k", [0, 90])
def test_neighbours_that_are_too_many_or_none_are_refused(k):
    told = f"k must be at least 1 and less than 90, the reference images, but is {k}"
    with pytest.raises(ValueError, match=told):
        density_coverage(rows(70, 4, 1), rows(90, 4, 0), k=k)
