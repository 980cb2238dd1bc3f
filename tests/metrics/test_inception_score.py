"""The Inception score: of one class, of all classes alike, and by torch-fidelity."""

import pytest
import torch
from torch_fidelity.metric_isc import isc_features_to_metric

from ddpm_cli.metrics import class_score


def test_the_score_is_that_of_torch_fidelity():
    logits = 3 * torch.randn(50, 7, generator=torch.Generator().manual_seed(0))
    expected = isc_features_to_metric(logits, splits=1, shuffle=False)["inception_score_mean"]
    assert class_score(logits).value == pytest.approx(expected)


def test_sure_classes_count_and_unsure_ones_are_one():
    assert class_score(1e4 * torch.eye(6)).value == pytest.approx(6)
    assert class_score(torch.zeros(10, 6)).value == pytest.approx(1)
