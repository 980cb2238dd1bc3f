"""EMAs that follow a network: from its first step on, without the steps that are skipped."""

import pytest
import torch
from operations import CountOperations
from torch import nn
from training_problem import DATA, trainer, weights

from ddpm_cli import losses
from ddpm_cli.averages.tracking import PowerEmas, update_power_emas
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.loading import BatchDataset, batches
from ddpm_cli.networks.unet import UNet
from ddpm_cli.schedules import cosine
from ddpm_cli.training import TrainState, fit

NO, YES = torch.tensor(False), torch.tensor(True)


def tracked(network, *values, skipped=()):
    """EMAs of two lengths after a network has taken values, apart from the steps skipped."""
    emas = PowerEmas.fresh(network, [0.05, 0.25])
    for step, value in enumerate(values):
        with torch.no_grad():
            network.weight.fill_(value)
        flag = YES if step in skipped else NO
        update_power_emas(emas, emas.parameters(), list(network.parameters()), flag)
    return emas


def test_the_first_step_gives_the_weights_themselves():
    emas = tracked(nn.Linear(3, 2), 5.0)
    assert [network.weight.unique().tolist() for network in emas.networks.values()] == [[5], [5]]


def test_a_skipped_step_changes_no_bit_and_does_not_count():
    whole, parts = (
        tracked(nn.Linear(3, 2, bias=False), *values, skipped=skipped)
        for values, skipped in (((1, 2, 4), ()), ((9, 1, 2, 9, 9, 4, 9), (0, 3, 4, 6)))
    )
    assert parts.applied == 3
    assert all(
        torch.equal(whole.state_dict()[name], parts.state_dict()[name])
        for name in whole.state_dict()
    )


def test_a_shorter_length_is_nearer_to_the_last_weights():
    short, long = tracked(nn.Linear(3, 2), *range(30)).networks.values()
    assert 27 < short.weight.mean() < 29
    assert 17 < long.weight.mean() < 20


def test_buffers_are_those_of_the_usual_average_and_are_no_averages():
    usual = nn.BatchNorm1d(2)
    emas = PowerEmas.fresh(usual, [0.05, 0.1])
    usual.running_mean += 8
    assert [each.running_mean.tolist() for each in emas.networks.values()] == [[8, 8], [8, 8]]
    assert all(each.weight is not usual.weight for each in emas.networks.values())


@pytest.mark.parametrize(
    ("device", "calls"),
    [("cpu", {"_foreach_lerp_": 2}), ("meta", {"_foreach_sub": 2, "_foreach_add_": 2})],
)
def test_an_update_takes_one_pass_on_the_cpu_and_three_calls_elsewhere(device, calls):
    with torch.device(device):
        network, skipped = nn.Linear(5, 7), torch.zeros((), dtype=torch.bool)
    emas = PowerEmas.fresh(network, [0.05, 0.1])
    with CountOperations() as operations:
        update_power_emas(emas, emas.parameters(), list(network.parameters()), skipped)
    assert {name: operations.counts[name] for name in calls} == calls
    assert operations.counts.total() <= 20


def test_without_lengths_nothing_is_done_and_nothing_saved():
    emas = PowerEmas.fresh(nn.Linear(2, 2), [])
    with CountOperations() as operations:
        update_power_emas(emas, emas.parameters(), [], NO)
    assert operations.counts.total() == 0
    assert emas.state_dict() == {} == {name: emas.tensors() for name in emas.networks}


def test_a_length_that_was_not_tracked_is_refused():
    saved = tracked(nn.Linear(2, 2), 1, 2).state_dict()
    fewer, more = (PowerEmas.fresh(nn.Linear(2, 2), each) for each in ([0.25], [0.25, 0.1]))
    fewer.load_state_dict(saved, 2)
    assert fewer.applied == 2
    with pytest.raises(
        ValueError, match=r"ema_lengths has 0.1, which the checkpoint does not trac"
    ):
        more.load_state_dict(saved, 2)


@pytest.mark.parametrize(
    "count", [torch.tensor(3), torch.tensor(-1), torch.tensor(1.0), torch.tensor([1])]
)
def test_a_count_that_cannot_be_is_refused(count):
    emas = tracked(nn.Linear(2, 2), 1, 2)
    with pytest.raises(ValueError, match="must count 0 to 2 steps"):
        emas.load_state_dict({**emas.state_dict(), "applied": count}, 2)


def test_training_lets_them_follow_each_step():
    torch.manual_seed(0)
    network = UNet(1, 1, 0, dim=8, dim_mults=(1, 2))
    denoiser = Denoiser(GaussianDiffusion.from_betas(cosine()), network)
    recipe = trainer(steps=3, warmup=0)
    state = TrainState.fresh(denoiser, recipe.optimizer, ema_lengths=[0.1])
    twin = PowerEmas.fresh(state.ema, [0.1])
    stream = batches(BatchDataset(DATA, 6, 0, True))
    for _ in fit(recipe, state, stream, losses.l2, steps=3, seed=0):
        update_power_emas(twin, twin.parameters(), list(network.parameters()), NO)
    assert state.averages.applied == 3
    assert torch.equal(weights(state.averages.networks[0.1]), weights(twin.networks[0.1]))
