"""The step on static tensors: replayed as it was captured, without a wait for the device."""

import copy
import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn
from training_problem import DATA, fresh, load_moments, moments, trained, trainer, weights

from ddpm_cli import losses, schedules
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.hardware.graphs import addresses
from ddpm_cli.loading import BatchDataset, batches
from ddpm_cli.parallel import ProcessGroup, load_network, network_state
from ddpm_cli.train_times import loss_aware
from ddpm_cli.training import TrainState, fit
from ddpm_cli.training import step as training_step
from ddpm_cli.training.step import TrainStep, graphs_text

STEPS = 200
FEW_TIMES = GaussianDiffusion.from_betas(schedules.cosine(steps=20))
RECIPE = trainer(steps=STEPS, microbatch=4, warmup=20)


@pytest.fixture
def replayed(monkeypatch):
    """Replay steps by the twin of a graph: the same functions, called on the same tensors.

    Yields the tensors' addresses after every replayed step, by the step's object.
    """
    seen, call = [], TrainStep.__call__

    def record(step, inputs):
        numbers = call(step, inputs)
        if step.replays:
            seen.append((id(step), tuple(addresses(step.static_tensors()))))
        return numbers

    monkeypatch.setattr(training_step, "graph_obstacle", lambda *_: "")
    monkeypatch.setattr(training_step, "capture_graphs", lambda functions: [*map(twin, functions)])
    monkeypatch.setattr(TrainStep, "__call__", record)
    return seen


def twin(function):
    """A function whose gradients stay where they are, as those of a graph do."""
    parameters = function.func.__self__.state.parameters if hasattr(function, "func") else ()
    places = [each.grad for each in parameters]

    def call():
        result = function()
        for parameter, place in zip(parameters, places, strict=True):
            if place is not None and parameter.grad is not place:
                parameter.grad = place.copy_(parameter.grad)
        return result

    return call


class SometimesInfinite(nn.Module):
    """A loss with a weight of its own, infinite for some noised images."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, denoiser, batch):
        value = self.scale.square() * losses.l2(denoiser, batch)
        return torch.where(batch.x_t.mean(dim=(1, 2, 3)) > 0.2, math.inf, value)


def new_state():
    denoiser = replace(fresh(dropout=0.1).denoiser, diffusion=FEW_TIMES)
    optimizer = partial(torch.optim.AdamW, lr=3e-3, fused=True)
    loss, sampler = SometimesInfinite(), partial(loss_aware, kept=1)
    extra = {"loss_module": loss, "time_sampler": sampler, "ema_lengths": [0.05, 0.1]}
    return TrainState.fresh(denoiser, optimizer, **extra)


def parts(state):
    networks = state.denoiser.network, state.ema, state.loss_module
    own = moments(state), state.history.state_dict(), state.averages.state_dict()
    return [*map(network_state, networks), *own]


def put_back(state, saved, step):
    for network, tensors in zip(
        (state.denoiser.network, state.ema, state.loss_module), saved, strict=False
    ):
        load_network(network, tensors)
    load_moments(state, saved[3])
    state.history.load_state_dict(saved[4])
    state.averages.load_state_dict(saved[5], step)
    state.step = step


def run(state, stop_at):
    stream = batches(BatchDataset(DATA, 6, 0, True), start=state.step)
    recipe = replace(RECIPE, stop_at=stop_at)
    steps = fit(recipe, state, stream, state.loss_module, steps=STEPS, seed=0)
    return [each.numbers for each in steps]


def course():
    """Train to step 80, resume in another state, go back from 140 to 110, train to the end."""
    first, state = new_state(), new_state()
    numbers = run(first, 80)
    put_back(state, parts(first), 80)
    numbers += run(state, 110)
    saved = copy.deepcopy(parts(state))
    numbers += run(state, 140)
    put_back(state, saved, 110)
    numbers += run(state, STEPS)
    return torch.stack(numbers), torch.utils._pytree.tree_leaves(parts(state))


@pytest.mark.slow
def test_replayed_steps_equal_plain_steps_through_skips_a_resume_and_a_rollback(replayed):
    with pytest.MonkeyPatch.context() as plain:
        plain.setattr(training_step, "PLAIN_STEPS", math.inf)
        expected, tensors = course()
    assert not replayed
    numbers, found = course()
    assert 5 < (numbers[:, 2] == 1).sum() < 60
    torch.testing.assert_close(expected, numbers, rtol=0, atol=0, equal_nan=True)
    assert all(torch.equal(one, other) for one, other in zip(tensors, found, strict=True))
    assert len(replayed) == len(numbers) - 4 * 3
    assert len(set(replayed)) == 4


def test_a_step_whose_tensors_have_moved_is_captured_anew(replayed):
    state = new_state()
    steps = fit(
        RECIPE,
        state,
        batches(BatchDataset(DATA, 6, 0, True)),
        state.loss_module,
        steps=STEPS,
        seed=0,
    )
    for _ in range(5):
        next(steps)
    load_moments(state, copy.deepcopy(moments(state)))
    for _ in range(2):
        next(steps)
    assert len({places for _, places in replayed}) == 2


def test_what_is_in_the_way_of_graphs_is_told_and_refused_where_they_are_asked_for():
    state, group = fresh(), ProcessGroup(0, 2)
    assert graphs_text(trainer(), state, group) == "no CUDA graphs: the device is cpu"
    assert graphs_text(trainer(graphs=False), state, group) == "no CUDA graphs"
    with pytest.raises(ValueError, match="does not work here: the device is cpu"):
        trained(state, trainer(graphs=True, steps=1), steps=1)


def test_a_capture_that_fails_leaves_plain_steps_and_says_why(monkeypatch, caplog):
    def refuse(functions):
        raise RuntimeError("operation not permitted\nwhen stream is capturing")

    monkeypatch.setattr(training_step, "graph_obstacle", lambda *_: "")
    monkeypatch.setattr(training_step, "capture_graphs", refuse)
    found, expected = fresh(), fresh()
    trained(found, trainer())
    assert [each.getMessage() for each in caplog.records] == [
        "warning: no CUDA graphs, each step waits for Python: "
        "operation not permitted when stream is capturing"
    ]
    trained(expected, trainer(graphs=False))
    assert torch.equal(weights(found.ema), weights(expected.ema))
    with pytest.raises(ValueError, match="the step cannot be captured: operation"):
        trained(fresh(), trainer(graphs=True))
