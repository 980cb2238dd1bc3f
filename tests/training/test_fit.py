"""The loop: a function of (seed, step), of nothing that ran before."""

import copy
import math
from dataclasses import replace
from functools import cache, partial

import pytest
import torch
from operations import CountOperations
from problems import Answer
from torch import nn
from training_problem import (
    DATA,
    DIFFUSION,
    IMAGES,
    LABELLED,
    fresh,
    load_moments,
    moments,
    trained,
    trainer,
    weights,
)

from ddpm_cli import losses
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.image_sets import ImageSet
from ddpm_cli.loading import BatchDataset
from ddpm_cli.parallel import ProcessGroup, load_network, network_state
from ddpm_cli.train_times import loss_aware
from ddpm_cli.training import TrainState, copy_buffers, noise_batch, update_ema


@pytest.mark.parametrize("parallel", ["none", "dp"])
def test_training_lowers_the_loss_and_the_wrapped_network_keeps_its_names(parallel):
    state = fresh(parallel)
    seen = trained(state, trainer(steps=30, warmup=0), steps=30)
    assert seen[-1].loss < seen[0].loss
    assert all(not name.startswith("module.") for name in network_state(state.denoiser.network))
    assert state.step == 30


def test_a_state_put_back_goes_on_bit_for_bit():
    whole, first, second = fresh(), fresh(), fresh()
    trained(whole, trainer())
    trained(first, trainer(stop_at=4))
    load_network(second.denoiser.network, network_state(first.denoiser.network))
    load_network(second.ema, network_state(first.ema))
    load_moments(second, moments(first))
    second.step = first.step
    torch.rand(5)
    rest = trained(second, trainer())
    assert [progress.step for progress in rest] == [5, 6, 7, 8, 9, 10]
    assert torch.equal(weights(whole.denoiser.network), weights(second.denoiser.network))
    assert torch.equal(weights(whole.ema), weights(second.ema))


def test_options_come_from_the_configuration_and_moments_from_the_state():
    first, second = fresh(), fresh()
    trained(first, trainer())
    second.optimizer.param_groups[0]["lr"] = 0.5
    load_moments(second, moments(first))
    assert second.optimizer.param_groups[0]["lr"] == 0.5
    assert (
        second.optimizer.state_dict()["state"].keys()
        == first.optimizer.state_dict()["state"].keys()
    )


def test_the_state_of_other_parameters_is_refused():
    state = fresh()
    with pytest.raises(ValueError, match="the optimizer's state, of 1 parameters, is not of the"):
        load_moments(state, {"0": {"step": torch.tensor(1.0)}})
    with pytest.raises(ValueError, match="the weights do not fit this network"):
        load_network(state.denoiser.network, {})


def test_the_average_warms_up():
    state = fresh()
    before = weights(state.ema)
    trained(state, trainer(stop_at=1))
    torch.testing.assert_close(
        weights(state.ema), torch.lerp(before, weights(state.denoiser.network), 0.9)
    )


def parameters(*networks):
    """The parameters of each network."""
    return [list(each.parameters()) for each in networks]


def test_the_average_is_of_parameters_and_buffers_are_copied():
    average, network = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    network.running_mean += 8
    with torch.no_grad():
        network.weight += 8
    update_ema(*parameters(average, network), torch.tensor(0.75), torch.tensor(False))
    copy_buffers(average, network, torch.tensor(False))
    assert average.weight.tolist() == [3, 3]
    assert average.running_mean.tolist() == [8, 8]


def test_a_skipped_step_leaves_every_bit_of_the_average():
    average, network = nn.Linear(5, 7), nn.Linear(5, 7)
    before = weights(average)
    update_ema(*parameters(average, network), torch.tensor(0.75), torch.tensor(True))
    assert torch.equal(weights(average), before)


@pytest.mark.parametrize(
    ("device", "calls"),
    [("cpu", {"_foreach_lerp_"}), ("meta", {"_foreach_sub", "_foreach_mul_", "_foreach_add_"})],
)
def test_the_average_follows_in_one_pass_on_the_cpu_and_in_three_calls_elsewhere(device, calls):
    with torch.device(device), CountOperations() as operations:
        average, network = nn.Linear(5, 7), nn.Linear(5, 7)
        skipped = torch.zeros((), dtype=torch.bool)
        operations.counts.clear()
        update_ema(*parameters(average, network), torch.ones(()), skipped)
    assert {name: operations.counts[name] for name in calls} == dict.fromkeys(calls, 1)
    assert operations.counts.total() <= len(calls) + 5  # (1 - decay) * ~skipped


def test_the_average_is_in_evaluation_and_learns_nothing_itself():
    state = fresh()
    assert not state.ema.training
    assert not any(parameter.requires_grad for parameter in state.ema.parameters())


def test_noise_and_times_are_functions_of_seed_and_step():
    denoiser, batch = Denoiser(DIFFUSION, Answer(None)), BatchDataset(DATA, 20, 0, False)[0]
    one, again, other = (
        noise_batch(denoiser, batch, 0, step, torch.device("cpu")) for step in (3, 3, 4)
    )
    assert torch.equal(one.x_t, again.x_t)
    assert not torch.equal(one.eps, other.eps)
    assert not torch.equal(one.t, other.t)
    assert (one.t >= 1).all()
    assert (one.t <= 1000).all()


@pytest.mark.parametrize("count", [2, 3])
def test_noise_and_times_of_the_parts_are_those_of_the_whole(count):
    denoiser, cpu = Denoiser(DIFFUSION, Answer(None)), torch.device("cpu")
    whole = noise_batch(denoiser, BatchDataset(DATA, 7, 0, False)[3], 0, 3, cpu)
    parts = [
        noise_batch(
            denoiser,
            BatchDataset(DATA, 7, 0, False, ProcessGroup(rank, count).slice_of(7))[3],
            0,
            3,
            cpu,
        )
        for rank in range(count)
    ]
    assert torch.equal(torch.cat([part.x_t for part in parts]), whole.x_t)
    assert torch.equal(torch.cat([part.t for part in parts]), whole.t)


def labels(batch, step=3, **options):
    return noise_batch(
        Denoiser(DIFFUSION, Answer(None), conditional=True),
        batch,
        0,
        step,
        torch.device("cpu"),
        **options,
    ).label


@pytest.mark.parametrize("count", [2, 3])
def test_the_labels_kept_of_the_parts_are_those_of_the_whole(count):
    whole = labels(BatchDataset(LABELLED, 7, 0, False)[3], label_dropout=0.5)
    parts = [
        labels(
            BatchDataset(LABELLED, 7, 0, False, ProcessGroup(rank, count).slice_of(7))[3],
            label_dropout=0.5,
        )
        for rank in range(count)
    ]
    assert torch.equal(torch.cat(parts), whole)
    assert 0 < (whole == -1).sum() < 7


@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_the_share_of_labels_asked_for_is_dropped_and_the_others_are_those_of_the_images(share):
    batch = BatchDataset(LABELLED, 20_000, 0, False)[0]
    found = labels(batch, label_dropout=share)
    assert (found == -1).float().mean().item() == pytest.approx(share, abs=0.01)
    assert torch.equal(found[found >= 0], batch.labels[found >= 0])


def test_the_labels_dropped_are_a_function_of_the_step():
    one, again, other = (
        labels(BatchDataset(LABELLED, 20, 0, False)[0], step, label_dropout=0.5)
        for step in (3, 3, 4)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_an_image_without_a_label_stays_without():
    assert (
        labels(
            BatchDataset(ImageSet(IMAGES, torch.full((20,), -1), ["a"]), 20, 0, False)[0]
        ).tolist()
        == [-1] * 20
    )


def test_a_network_without_labels_gets_none():
    batch = BatchDataset(LABELLED, 20, 0, False)[0]
    assert (
        noise_batch(Denoiser(DIFFUSION, Answer(None)), batch, 0, 3, torch.device("cpu")).label
        is None
    )


def test_the_loss_of_a_conditional_network_depends_on_the_label():
    denoiser, batch = (
        fresh(classes=4, dropout=0.0).denoiser,
        BatchDataset(LABELLED, 20, 0, False)[0],
    )
    found = noise_batch(denoiser, batch, 0, 3, torch.device("cpu"))
    others = [
        losses.l2(denoiser, replace(found, label=label))
        for label in ((found.label + 1) % 4, torch.full((20,), -1))
    ]
    assert all((losses.l2(denoiser, found) != other).all() for other in others)


def leaves(tree):
    return torch.utils._pytree.tree_leaves(tree)


@pytest.mark.parametrize("fused", [True, False])
def test_a_skipped_step_changes_neither_weights_nor_average_nor_moments(monkeypatch, fused):
    state = fresh(fused=fused)
    trained(state, trainer(stop_at=4))
    before = copy.deepcopy(
        (network_state(state.denoiser.network), network_state(state.ema), moments(state))
    )
    monkeypatch.setattr(nn.utils, "clip_grad_norm_", lambda *_: torch.tensor(math.inf))
    (progress,) = trained(state, trainer(stop_at=5))
    after = (network_state(state.denoiser.network), network_state(state.ema), moments(state))
    assert progress.flags.tolist() == [1, 0]
    assert state.step == 5
    assert all(
        torch.equal(one, other) for one, other in zip(leaves(before), leaves(after), strict=True)
    )


@cache
def after_ten_steps(size, classes):
    # at dim 8 a norm's group is one channel, and the bias before it has no gradient but rounding,
    # which Adam enlarges
    state = fresh(dropout=0.0, lr=1e-3, dim=16, classes=classes)
    recipe = trainer(steps=10, microbatch=size)
    seen = trained(state, recipe, steps=10, data=LABELLED)
    return [progress.loss.item() for progress in seen], weights(state.denoiser.network)


@pytest.mark.parametrize(("size", "classes"), [(1, 0), (4, 0), (6, 0), (4, 4)])
def test_microbatches_are_the_same_step_but_for_rounding(size, classes):
    expected, whole = after_ten_steps(None, classes)
    losses, parts = after_ten_steps(size, classes)
    assert losses == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-4)


AWARE = partial(loss_aware, kept=2)


@pytest.mark.parametrize(
    "change",
    [
        {"times": torch.tensor([[1]]), "last": torch.tensor([[1.0]], dtype=torch.float64)},
        {"times": torch.tensor(1), "last": torch.tensor(1.0, dtype=torch.float64)},
        {"times": torch.tensor([0]), "last": torch.tensor([1.0], dtype=torch.float64)},
        {"times": torch.tensor([1, 2]), "last": torch.tensor([1.0], dtype=torch.float64)},
        {"counts": torch.full((1000,), -3)},
        {"counts": torch.full((1000,), 2**63 - 1)},
        {"losses": torch.zeros(1000, 3, dtype=torch.float64)},
        {"more": torch.zeros(1)},
    ],
)
def test_what_is_no_history_of_losses_is_refused(change):
    network = nn.Linear(1, 1)
    state = TrainState(
        Denoiser(DIFFUSION, network),
        network,
        torch.optim.Adam(network.parameters()),
        time_sampler=AWARE,
    )
    with pytest.raises(ValueError, match="the checkpoint's history of losses"):
        state.history.load_state_dict({**state.history.state_dict(), **change})


def test_loss_aware_times_remember_as_many_losses_as_their_default_says():
    network = torch.nn.Linear(1, 1)
    optimizer = torch.optim.Adam(network.parameters())
    denoiser = Denoiser(DIFFUSION, network)
    state = TrainState(denoiser, network, optimizer, time_sampler=partial(loss_aware, floor=0.1))
    assert state.history.kept == 10
