"""Losses on fixed noise: the same at every step, and without traces."""

import torch
from training_problem import DATA, fresh

from ddpm_cli import losses
from ddpm_cli.parallel import ProcessGroup
from ddpm_cli.training import fixed_losses


def fixed(state, data=DATA, **options):
    size = {"key": 7, "seed": 0, "size": 100, "group": ProcessGroup(), **options}
    return fixed_losses([state.denoiser], losses.l2, data, **size)


def test_fixed_losses_are_of_a_time_of_each_quarter_for_each_of_some_images():
    state = fresh(dropout=0.0)
    found = fixed(state)
    assert found.shape == (1, 4, min(32, len(DATA.images)))
    assert torch.equal(found, fixed(state))
    assert not torch.equal(found, fixed(state, key=8))
    torch.testing.assert_close(found, fixed(state, size=5).to(found), rtol=1e-5, atol=1e-7)


def test_fixed_losses_come_from_fixed_noise_whatever_the_step():
    state = fresh(dropout=0.0)
    before = fixed(state)
    state.step = 1000
    assert torch.equal(fixed(state), before)


def test_fixed_losses_leave_nothing_behind():
    state = fresh(dropout=0.0)
    random = torch.get_rng_state()
    fixed(state)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(parameter.grad is None for parameter in state.denoiser.network.parameters())
