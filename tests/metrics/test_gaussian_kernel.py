"""The distance of CMMD: against the formula of its published code, on random features."""

import pytest
import torch
from torch.nn.functional import normalize

from ddpm_cli.metrics import gaussian_distance


def rows(count, width, seed):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def published(x, y):
    """The biased estimator, a matrix of all pairs at once, as the published code has it."""

    def mean_kernel(one, other):
        squares = one.square().sum(1)[:, None] + other.square().sum(1) - 2 * one @ other.T
        return torch.exp(-squares / (2 * 10**2)).mean()

    return float(1000 * (mean_kernel(x, x) + mean_kernel(y, y) - 2 * mean_kernel(x, y)))


@pytest.mark.parametrize("block", [32, 2048])
@pytest.mark.parametrize(("counts", "width"), [((70, 90), 4), ((300, 200), 768)])
def test_it_is_that_of_the_published_code_on_random_features(counts, width, block):
    x, y = 0.8 * rows(counts[0], width, 1) + 0.4, rows(counts[1], width, 0)
    for one, other in [(x, y), (normalize(x), normalize(y))]:
        found = gaussian_distance(one, other, block=block)
        assert found.value == pytest.approx(published(one.double(), other.double()), rel=1e-6)
        assert found.low < found.value < found.high


def test_a_set_is_no_distance_from_itself():
    assert gaussian_distance(rows(70, 8, 0), rows(70, 8, 0)).value == pytest.approx(0, abs=1e-9)
