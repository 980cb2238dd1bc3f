"""The kernel distance against its definition, and of sets with themselves."""

import pytest
import torch

from ddpm_cli.metrics import kernel_distance

FEATURES = torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
OTHERS = torch.randn(40, 5, generator=torch.Generator().manual_seed(1)) + 0.5


def pairs(one, other):
    return (one.double() @ other.double().T / 5 + 1) ** 3


def without_diagonal(kernel):
    return (kernel.sum() - kernel.trace()) / (len(kernel) * (len(kernel) - 1))


@pytest.mark.parametrize("block", [7, 2048])
def test_the_distance_is_that_of_all_pairs_whatever_the_blocks(block):
    expected = (
        without_diagonal(pairs(FEATURES, FEATURES))
        + without_diagonal(pairs(OTHERS, OTHERS))
        - 2 * pairs(FEATURES, OTHERS).mean()
    )
    assert kernel_distance(FEATURES, OTHERS, block=block).value == pytest.approx(float(expected))


def test_a_set_is_at_no_distance_from_itself():
    found = kernel_distance(FEATURES, FEATURES.flip(0))
    assert found.value == 0
    assert found.low <= 0 <= found.high


def test_a_set_is_at_no_distance_from_itself_though_rounded_otherwise():
    found = kernel_distance(
        FEATURES,
        FEATURES * (1 + 1e-7 * torch.randn(60, 1, generator=torch.Generator().manual_seed(0))),
    )
    assert found.low <= 0 <= found.high


def test_two_random_halves_are_at_no_distance_within_the_interval():
    found = kernel_distance(FEATURES[:30], FEATURES[30:])
    assert found.low <= 0 <= found.high


def test_sets_that_differ_are_apart():
    assert kernel_distance(FEATURES + 1, FEATURES).low > 0


def test_one_image_has_no_pairs():
    with pytest.raises(
        ValueError, match="pairs take at least 2 images in either set, but there are 60 and 1"
    ):
        kernel_distance(FEATURES, OTHERS[:1])


@pytest.mark.parametrize("block", [4, 2048])
def test_an_image_that_is_often_in_both_sets_holds_them_together(block):
    one, both = (
        torch.cat([FEATURES, torch.ones(60, 5)]),
        torch.cat([OTHERS - 0.5, torch.ones(40, 5)]),
    )
    found = kernel_distance(one, both, block=block)
    assert found.low <= 0 <= found.high


def test_two_sets_of_one_image_are_at_no_distance():
    found = kernel_distance(torch.ones(10, 5), torch.ones(12, 5))
    assert (found.low, found.value, found.high) == (0, 0, 0)
