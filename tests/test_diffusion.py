"""The process in closed form: identities between its formulas, and published values."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpm_cli import schedules
from ddpm_cli.diffusion import GaussianDiffusion

LINEAR = GaussianDiffusion.from_betas(schedules.linear())
COSINE = GaussianDiffusion.from_betas(schedules.cosine())
ONE, NONE = (
    torch.ones(1, 1, 1, 1, dtype=torch.float64),
    torch.zeros(1, 1, 1, 1, dtype=torch.float64),
)
times = st.floats(1, 1000)


def test_the_posterior_agrees_with_published_values():
    assert LINEAR.posterior_variance(2, 1).item() == pytest.approx(5.453187661e-5, rel=1e-9)
    assert LINEAR.posterior_variance(501, 500).item() == pytest.approx(0.01005133578, rel=1e-9)
    assert LINEAR.posterior_mean(ONE, NONE, 501, 500).item() == pytest.approx(
        0.003058057076, rel=1e-9
    )
    assert LINEAR.posterior_mean(NONE, ONE, 501, 500).item() == pytest.approx(
        0.9941043508, rel=1e-9
    )


def test_time_zero_is_the_clean_image():
    assert LINEAR.alpha_bar_at(0) == 1
    assert LINEAR.add_noise(ONE, 5 * ONE, 0) == ONE
    assert LINEAR.posterior_variance(1, 0) == 0
    assert LINEAR.posterior_mean(3 * ONE, ONE, 1, 0).item() == pytest.approx(3)


def test_integers_read_the_table_and_log_snr_is_linear_between_them():
    assert torch.equal(LINEAR.alpha_bar_at(torch.arange(1001)), LINEAR.alpha_bar)
    middle = LINEAR.log_snr(torch.tensor([6.5, 700.5]))
    ends = LINEAR.log_snr(torch.tensor([6, 700])) + LINEAR.log_snr(torch.tensor([7, 701]))
    torch.testing.assert_close(middle, ends / 2)


@given(times)
@settings(derandomize=True, deadline=None)
def test_time_of_is_the_inverse_of_log_snr(t):
    assert COSINE.time_of(COSINE.log_snr(t)).item() == pytest.approx(t, rel=1e-9)


@given(times)
@settings(derandomize=True, deadline=None)
def test_noise_added_is_noise_found(t):
    x0, eps = torch.randn(
        2, 1, 3, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    torch.testing.assert_close(
        LINEAR.noise_in(LINEAR.add_noise(x0, eps, t), x0, t), eps, rtol=1e-6, atol=1e-6
    )


@given(st.lists(times, min_size=3, max_size=3, unique=True))
@settings(derandomize=True, deadline=None)
def test_steps_compose(unordered):
    s, r, t = sorted(unordered)
    whole = 1 - COSINE.variance(t, s)
    assert whole.item() == pytest.approx(
        ((1 - COSINE.variance(t, r)) * (1 - COSINE.variance(r, s))).item(), rel=1e-9, abs=1e-12
    )


@pytest.mark.parametrize(("t", "s"), [(500, 499), (900.5, 3), (2, 1)])
def test_the_log_variance_runs_from_beta_tilde_to_beta(t, s):
    assert LINEAR.log_variance(t, s, 0.0, ONE).exp().item() == pytest.approx(
        LINEAR.posterior_variance(t, s).item()
    )
    assert LINEAR.log_variance(t, s, 1.0, ONE).exp().item() == pytest.approx(
        LINEAR.variance(t, s).item()
    )
    half = LINEAR.log_variance(t, s, 0.5 * ONE, ONE).exp().item()
    assert half**2 == pytest.approx(
        (LINEAR.posterior_variance(t, s) * LINEAR.variance(t, s)).item()
    )


@pytest.mark.parametrize("fixed", [0.0, 1.0])
def test_the_last_step_borrows_the_variance_of_the_one_before(fixed):
    assert LINEAR.log_variance(1, 0, fixed, ONE).exp().item() == pytest.approx(5.453187661e-5)


def test_a_learned_variance_of_the_last_step_reaches_beta_as_in_the_codes_of_its_authors():
    assert LINEAR.log_variance(1, 0, ONE, ONE).exp().item() == pytest.approx(1e-4)


def test_of_several_times_the_last_step_alone_borrows_its_variance():
    t, one = torch.tensor([1, 2, 1000]), torch.ones(3, 1, 1, 1, dtype=torch.float64)
    found = LINEAR.log_variance(t, t - 1, 1.0, one).exp().flatten()
    expected = [5.453187661e-5, *(LINEAR.variance(each, each - 1).item() for each in (2, 1000))]
    assert found.tolist() == pytest.approx(expected)


def test_a_vector_of_times_is_one_time_per_image():
    x0, eps, t = torch.ones(3, 1, 2, 2), torch.zeros(3, 1, 2, 2), torch.tensor([1, 500, 1000])
    together = LINEAR.add_noise(x0, eps, t)
    assert all(
        torch.equal(together[i : i + 1], LINEAR.add_noise(x0[:1], eps[:1], t[i].item()))
        for i in range(3)
    )


def test_the_first_steps_have_noise_in_single_precision():
    x0, eps = torch.ones(10, 1, 1, 1), torch.ones(10, 1, 1, 1)
    noisy = LINEAR.add_noise(x0, eps, torch.arange(1, 11))
    assert (noisy.diff(dim=0) > 0).all()


@pytest.mark.parametrize("betas", [[0.0, 0.1], [0.1, 1.1], [1.0, 0.1], [float("nan"), 0.1]])
def test_betas_that_are_none_are_refused(betas):
    with pytest.raises(ValueError, match="betas must lie between 0 and 1"):
        GaussianDiffusion.from_betas(torch.tensor(betas, dtype=torch.float64))


def test_zero_terminal_snr_is_admitted():
    diffusion = GaussianDiffusion.from_betas(torch.tensor([0.1, 0.2, 1.0], dtype=torch.float64))
    assert diffusion.snr(3) == 0
    assert diffusion.alpha_bar_at(2.7) == 0


def test_times_outside_the_process_are_our_own_mistake():
    with pytest.raises(AssertionError, match="no times of this process"):
        LINEAR.alpha_bar_at(0.5)


def test_users_own_modules_may_call_alpha_bar_by_its_short_name():
    assert LINEAR.at(7) == LINEAR.alpha_bar_at(7)
