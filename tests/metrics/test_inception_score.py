"""The Inception score: of one class, of all classes alike, and by torch-fidelity."""

import pytest
import torch
from torch_fidelity.metric_isc import isc_features_to_metric

from ddpm_cli.metrics import class_score


@pytest.mark.parametrize("count", [10, 57, 1000])
def test_the_score_is_the_mean_of_ten_splits_by_torch_fidelity(count):
    logits = 3 * torch.randn(count, 7, generator=torch.Generator().manual_seed(0))
    expected = isc_features_to_metric(logits)
    found = class_score(logits)
    half = 2.2622 * expected["inception_score_std"] / 9**0.5  # its standard deviation is of N
    assert found.value == pytest.approx(expected["inception_score_mean"])
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half), 1e-4)


def test_sure_classes_count_and_unsure_ones_are_one():
    assert class_score(1e4 * torch.eye(6).repeat(1000, 1)).value == pytest.approx(6, rel=1e-2)
    assert class_score(torch.zeros(10, 6)).value == pytest.approx(1)


def test_fewer_images_than_splits_have_no_score():
    with pytest.raises(
        ValueError, match="takes at least 10 images, one for each split, but there are 9"
    ):
        class_score(torch.zeros(9, 6))
