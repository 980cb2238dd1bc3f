"""Networks replayed by batch size, by a twin of CUDA's graphs that calls the same function."""

import pytest
import torch
from torch import nn

from ddpm_cli.hardware import graphs
from ddpm_cli.hardware.graphs import PADDED, ReplayedNetwork
from ddpm_cli.parallel import network_state, unwrap


class Scaled(nn.Module):
    """A network that counts its calls and keeps the sizes of their batches."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.sizes = []

    def forward(self, x, t, label=None):
        self.sizes.append(len(x))
        labels = 0 if label is None else label[:, None, None, None]
        return self.weight * x + t[:, None, None, None] + labels


@pytest.fixture
def network(monkeypatch):
    monkeypatch.setattr(graphs, "capture_graph", lambda function, pool: function)
    monkeypatch.setattr(graphs, "new_pool", lambda: "pool")
    return ReplayedNetwork(Scaled())


def call(network, size, value=1.0, label=None):
    x, t = torch.full((size, 1, 2, 2), value), torch.arange(size, dtype=torch.float32)
    label = None if label is None else torch.full((size,), label)
    with torch.no_grad():
        result = network(x, t, label)
    assert torch.equal(result, Scaled()(x, t, label))
    return result


def test_a_replayed_network_equals_the_network_and_pads_the_last_batch(network):
    for value in (1.0, 2.0, 3.0):
        call(network, 4, value)
    call(network, 3, 5.0)
    assert network.module.sizes == [4, 4, 4, 4]


def test_a_size_that_comes_often_is_captured_itself(network):
    for size in (4, 4, *[3] * PADDED, 3, 3):
        call(network, size, float(size))
    assert network.module.sizes == [4] * (2 + PADDED) + [3, 3]


def test_labels_are_inputs_and_their_absence_is_another_graph(network):
    for label in (None, None, 1, 1, 2, None):
        call(network, 2, label=label)
    assert len(network.graphs) == 2


def test_a_later_replay_leaves_an_earlier_result_as_it_is(network):
    call(network, 2)
    first = call(network, 2, 1.0)
    before = first.clone()
    call(network, 2, 7.0)
    assert torch.equal(first, before)


def test_gradients_and_what_cannot_be_captured_run_plainly(network, monkeypatch, caplog):
    def refuse(function, pool):
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(graphs, "capture_graph", refuse)
    x = torch.ones(2, 1, 2, 2, requires_grad=True)
    network(x, torch.zeros(2)).sum().backward()
    assert x.grad is not None
    for _ in range(3):
        call(network, 2)
    assert not network.graphs
    assert [each.getMessage() for each in caplog.records] == [
        "warning: no CUDA graphs of the network, which waits for Python: "
        "operation not permitted when stream is capturing"
    ]


def test_names_of_weights_are_those_of_the_network(network):
    assert unwrap(network) is network.module
    assert list(network_state(network)) == ["weight"]
