"""Nearest neighbours, precision and recall: against a sort, and against torch-fidelity."""

import pytest
import torch
from torch_fidelity.metric_prc import prc_features_to_metric

from ddpm_cli.metrics import nearest_neighbours, precision_recall

REFERENCE = torch.randn(90, 4, generator=torch.Generator().manual_seed(0))
GENERATED = 0.8 * torch.randn(70, 4, generator=torch.Generator().manual_seed(1)) + 0.4


@pytest.mark.parametrize("block", [8, 2048])
def test_the_nearest_are_those_of_a_sort_whatever_the_blocks(block):
    distances, places = nearest_neighbours(GENERATED, REFERENCE, 5, block=block)
    expected = torch.cdist(GENERATED.double(), REFERENCE.double()).sort()
    torch.testing.assert_close(distances, expected.values[:, :5])
    assert torch.equal(places, expected.indices[:, :5])


def test_an_image_may_be_looked_for_among_others_alone():
    twice = torch.cat([REFERENCE, REFERENCE[:3]])
    distances, places = nearest_neighbours(REFERENCE[:3], twice, 2, besides=REFERENCE[:3])
    assert torch.equal(places, nearest_neighbours(REFERENCE[:3], REFERENCE[3:], 2)[1] + 3)
    assert distances.min() > 0.1


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("block", [16, 2048])
def test_precision_and_recall_are_those_of_torch_fidelity(block, k):
    found = precision_recall(GENERATED, REFERENCE, k=k, block=block, rows=block)
    expected = prc_features_to_metric(GENERATED, REFERENCE, prc_neighborhood=k, verbose=False)
    assert found["precision"].value == pytest.approx(expected["precision"])
    assert found["recall"].value == pytest.approx(expected["recall"])


def test_a_set_covers_itself_and_nothing_far_away():
    assert [each.value for each in precision_recall(REFERENCE, REFERENCE, k=3).values()] == [1, 1]
    far = precision_recall(REFERENCE + 100, REFERENCE, k=3)
    assert far["recall"].high == far["precision"].high > 0.02
    assert [each.value for each in far.values()] == [0, 0]


@pytest.mark.parametrize("k", [0, 35])
def test_neighbours_that_are_too_many_or_none_are_refused(k):
    with pytest.raises(
        ValueError, match=f"k must be at least 1 and less than 35 for so few images, but is {k}"
    ):
        precision_recall(GENERATED, REFERENCE, k=k)
