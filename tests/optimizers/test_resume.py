"""Optimizers that go on from a checkpoint bit for bit, and the weights that a run shows."""

from functools import partial

import pytest
import torch
from checkpoint_files import CFG
from torch import nn
from training_problem import fresh, trained, trainer, weights
from two_points import TwoPoints

from ddpm_cli.checkpoints import Checkpoint, write_checkpoint
from ddpm_cli.optimizers import Muon
from ddpm_cli.optimizers.groups import build_optimizer
from ddpm_cli.training import snapshot

GROUPS = [{"match": "vectors", "weight_decay": 0.0}, {"match": "down.*", "lr": 1e-3}]
KINDS = {
    "AdamW": partial(torch.optim.AdamW, lr=1e-2, weight_decay=0.1, fused=True),
    "Muon": partial(Muon, lr=1e-2, weight_decay=0.1),
    "plain Muon": partial(Muon, lr=1e-2, fused=False),
    "two points": partial(TwoPoints, lr=1e-2),
}
FACTS = {"fingerprint": "", "shape": [1, 8, 8], "classes": [], "steps": 10}


def state_of(kind, groups=GROUPS, classes=0):
    state = fresh(classes=classes)
    network, module = state.denoiser.network, state.loss_module
    kind = KINDS[kind]
    if "weight_decay" not in kind.keywords:
        groups = [group for group in groups if "weight_decay" not in group]
    state.optimizer = build_optimizer(kind, network, module, groups)
    state.parameters = [each for group in state.optimizer.param_groups for each in group["params"]]
    return state


def saved(state, path):
    write_checkpoint(path, snapshot.take_snapshot(state, CFG, **FACTS))
    return Checkpoint.load(path)


def everything(state):
    """All that the next steps depend on."""
    checkpoint = snapshot.take_snapshot(state, CFG, **FACTS)
    return {name: each.clone() for name, each in checkpoint.tensors.items()}, checkpoint.optimizer


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_goes_on_from_a_checkpoint_takes_the_same_steps(kind, tmp_path):
    whole, first, second = state_of(kind), state_of(kind), state_of(kind)
    trained(whole, trainer(stop_at=5))
    trained(first, trainer(stop_at=3))
    snapshot.restore_snapshot(second, saved(first, tmp_path / "x.safetensors"))
    trained(second, trainer(stop_at=5))
    (expected, counts), (found, others) = everything(whole), everything(second)
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], each) for name, each in expected.items())
    assert counts == others


def test_going_back_to_a_checkpoint_takes_the_counts_of_groups_back(tmp_path):
    state, other = state_of("two points"), state_of("two points")
    start = saved(state, tmp_path / "x.safetensors")
    trained(state, trainer(stop_at=2))
    assert state.optimizer.param_groups[0]["k"] == 2
    snapshot.restore_snapshot(state, start)
    assert state.optimizer.param_groups[0]["k"] == 0
    for each in (state, other):
        trained(each, trainer(stop_at=3))
    assert torch.equal(weights(state.denoiser.network), weights(other.denoiser.network))


def test_a_state_without_groups_goes_on_in_groups_by_the_names(tmp_path):
    one, many = state_of("AdamW", groups=[]), state_of("AdamW")
    trained(one, trainer(stop_at=3))
    snapshot.restore_snapshot(many, saved(one, tmp_path / "x.safetensors"))
    pairs = zip(one.denoiser.network.parameters(), many.denoiser.network.parameters(), strict=True)
    for mine, its in pairs:
        moments = one.optimizer.state[mine]["exp_avg"], many.optimizer.state[its]["exp_avg"]
        assert torch.equal(*moments)


@pytest.mark.parametrize("value", ["x", None, [1], torch.zeros(2)])
def test_counts_that_are_no_numbers_are_refused(value, tmp_path):
    state = state_of("two points")
    trained(state, trainer(stop_at=1))
    checkpoint = saved(state, tmp_path / "x.safetensors")
    for entry in checkpoint.optimizer.values():
        entry["group:k"] = value
    with pytest.raises(ValueError, match="the optimizer's state does not fit TwoPoints"):
        snapshot.restore_snapshot(state_of("two points"), checkpoint)


def test_a_run_shows_and_saves_the_weights_of_eval_and_learns_at_those_of_train():
    state = state_of("two points", groups=[])
    seen, inside = list[torch.Tensor](), state.denoiser.network
    inside.register_forward_pre_hook(lambda *_: seen.append(inside.stem.weight.detach().clone()))
    trained(state, trainer(ema=0.0, stop_at=5))
    parameter, optimizer = inside.stem.weight, state.optimizer
    assert not optimizer.param_groups[0]["train_mode"]
    torch.testing.assert_close(state.ema.stem.weight, parameter)
    optimizer.train()
    shift = (optimizer.state[parameter]["z"] - parameter).norm()
    optimizer.eval()
    assert shift > 0
    assert len({tuple(each.flatten().tolist()) for each in seen}) == 5
    assert not torch.equal(seen[-1], parameter)


def test_frozen_parameters_of_an_optimizer_with_two_points_stay(tmp_path):
    state, second = (state_of("two points", groups=[]) for _ in range(2))
    for each in (state, second):
        each.denoiser.network.down.requires_grad_(False)
    before = [each.clone() for each in state.denoiser.network.down.parameters()]
    trained(state, trainer(stop_at=2))
    snapshot.restore_snapshot(second, saved(state, tmp_path / "x.safetensors"))
    for each in (state, second):
        trained(each, trainer(stop_at=4))
        assert all(map(torch.equal, before, each.denoiser.network.down.parameters()))
    assert torch.equal(weights(state.denoiser.network), weights(second.denoiser.network))


def test_torchs_muon_refuses_kernels_in_a_line_that_names_the_option():
    with pytest.raises(ValueError, match=r"trainer\.optimizer: Muon only supports 2D parameters"):
        build_optimizer(partial(torch.optim.Muon, lr=1e-2), nn.Conv2d(1, 1, 3), nn.Module(), [])
