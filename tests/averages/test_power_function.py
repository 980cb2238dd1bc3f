"""The mathematics of power-function EMAs: the numbers of the paper's formulas, and identities."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_cli.averages.power_function import (
    Profile,
    coefficients,
    decay,
    exponent,
    inner_products,
    new_weights,
)

LENGTHS = st.floats(1e-3, 0.28)
PROFILES = st.builds(Profile, LENGTHS, st.integers(1, 10**7))


@pytest.mark.parametrize(
    ("length", "number"), [(0.05, 16.972199), (0.10, 6.937204), (0.15, 3.557869)]
)
def test_exponents_are_those_of_the_lengths(length, number):
    assert exponent(length) == pytest.approx(number, abs=1e-6)


@settings(max_examples=30, derandomize=True, deadline=None)
@given(LENGTHS)
def test_the_length_is_the_relative_deviation_of_the_profile(length):
    g = exponent(length)
    assert (g + 1) / ((g + 2) ** 2 * (g + 3)) == pytest.approx(length**2)


@pytest.mark.parametrize(("length", "number"), [(0.05, 0.982179506), (0.10, 0.992090273)])
def test_decays_are_those_of_the_step(length, number):
    assert decay(length, 1000) == pytest.approx(number, abs=1e-9)
    assert decay(length, 1) == 0


@settings(max_examples=30, derandomize=True, deadline=None)
@given(LENGTHS, st.integers(2, 10**8))
def test_the_weight_of_the_newest_is_precise_in_float32(length, applied):
    g = torch.tensor([exponent(length)])
    whole = -torch.expm1((g.double() + 1) * torch.log1p(torch.tensor(-1 / applied).double()))
    torch.testing.assert_close(new_weights(torch.tensor(applied), g), whole.float())


@pytest.mark.parametrize("applied", [0, 1])
def test_the_first_weights_are_taken_as_they_are(applied):
    assert new_weights(torch.tensor(applied), torch.tensor([3.0, 17.0])).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Profile(0.05, 200), Profile(0.1, 300)),
        (Profile(0.05, 300), Profile(0.1, 200)),
        (Profile(0.2, 250), Profile(0.2, 250)),
    ],
)
def test_inner_products_are_integrals_over_the_steps(one, other):
    def density(profile, steps):
        g, t = exponent(profile.length), profile.applied
        return (g + 1) / t * (steps / t) ** g * (steps <= t)

    steps = (torch.arange(600_000, dtype=torch.float64) + 0.5) / 2000
    integral = (density(one, steps) * density(other, steps)).sum() / 2000
    assert inner_products([one, other])[0, 1].item() == pytest.approx(integral.item(), rel=1e-6)


def test_the_eight_coefficients_of_a_longer_average():
    sources = [Profile(length, step) for step in (250, 500, 750, 1000) for length in (0.05, 0.1)]
    numbers = coefficients(sources, Profile(0.15, 1000))
    expected = [-0.00056, 0.00194, -0.01315, 0.03802, -0.07796, 0.20041, -0.26406, 1.11536]
    assert numbers == pytest.approx(expected, abs=5e-6)


@settings(max_examples=30, derandomize=True, deadline=None)
@given(st.lists(PROFILES, min_size=1, max_size=6, unique=True), LENGTHS)
def test_coefficients_sum_to_one_and_a_target_that_is_there_is_taken_alone(sources, length):
    last = max(sources, key=lambda each: each.applied)
    numbers = coefficients(sources, Profile(length, last.applied))
    assert sum(numbers) == pytest.approx(1, abs=1e-6)
    alone = [float(each is last) for each in sources]
    assert coefficients(sources, last) == alone


@pytest.mark.parametrize("length", [1e-300, 1e-9, 1e-4])
def test_a_length_below_a_step_overflows_nowhere(length):
    products = inner_products([Profile(length, 10**8), Profile(0.28, 3)])
    assert products.isfinite().all()
    assert 0 <= decay(length, 1000) < 1
