"""Losses: an oracle's loss is 0, and the variational bound agrees with public codes."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from problems import Answer, Dummy, dummy_images, dummy_noise
from torch import nn

from ddpm_cli.denoiser import Denoiser
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.losses import (
    Noised,
    Uncertain,
    bound,
    discrete_log_likelihood,
    huber,
    hybrid,
    l1,
    l2,
    min_snr,
    p2,
    tanh_cdf,
    vlb,
)
from ddpm_cli.schedules import cosine, linear, with_zero_snr

LINEAR, COSINE = GaussianDiffusion.from_betas(linear()), GaussianDiffusion.from_betas(cosine())
SIMPLE = pytest.mark.parametrize(
    "loss", [l1, l2, huber, partial(huber, delta=0.1)], ids=["l1", "l2", "huber", "small huber"]
)
PREDICTS = pytest.mark.parametrize("predicts", ["eps", "x0", "v"])
FEW = settings(derandomize=True, max_examples=15, deadline=None)


def bytes_and_noise(count, size=4):
    """Random 8-bit images in [-1, 1] and their noise."""
    generator = torch.Generator().manual_seed(0)
    x0 = torch.randint(0, 256, (count, 3, size, size), generator=generator).double() / 127.5 - 1
    return x0, torch.randn(x0.shape, dtype=torch.float64, generator=generator)


def oracle(diffusion, batch, error=0.0, v=None, **options):
    """A denoiser that knows the noise of the batch, and errs by `error`."""
    target = (
        Denoiser(diffusion, nn.Identity(), **options).target(batch.x0, batch.eps, batch.t) + error
    )
    answer = target if v is None else torch.cat([target, torch.full_like(target, v)], dim=1)
    return Denoiser(diffusion, Answer(answer), **options)


def dummy_problem(t):
    """The batch of public codes' tests at the 0-based time t."""
    return Noised.at(LINEAR, dummy_images(), dummy_noise(), torch.full((4,), t + 1))


DUMMY = Denoiser(LINEAR, Dummy())


@SIMPLE
@PREDICTS
@given(t=st.integers(1, 1000))
@FEW
def test_an_oracle_that_knows_the_noise_has_no_loss(loss, predicts, t):
    batch = Noised.at(COSINE, *bytes_and_noise(3), torch.tensor([1, t, 1000]))
    assert loss(oracle(COSINE, batch, predicts=predicts), batch).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("loss", "error", "expected"),
    [
        (l1, -2.0, 2),
        (l2, -2.0, 4),
        (huber, 0.5, 0.125),
        (huber, -2.0, 1.5),
        (partial(huber, delta=0.1), 2.0, 0.195),
    ],
)
def test_the_losses_are_means_over_an_image_of_the_errors_size(loss, error, expected):
    batch = Noised.at(LINEAR, *bytes_and_noise(2), torch.tensor([1, 700]))
    assert loss(oracle(LINEAR, batch, error=error), batch).tolist() == pytest.approx(
        [expected, expected]
    )


@SIMPLE
def test_images_of_a_batch_have_a_loss_each(loss):
    batch = Noised.at(LINEAR, *bytes_and_noise(2), torch.tensor([1, 700]))
    wrong_in_one = oracle(LINEAR, batch, error=torch.tensor([0.0, 1.0]).view(-1, 1, 1, 1))
    assert (loss(wrong_in_one, batch) > 0).tolist() == [False, True]


@SIMPLE
def test_a_learned_variance_is_not_left_untrained(loss):
    batch = Noised.at(LINEAR, *bytes_and_noise(1), torch.tensor([5]))
    with pytest.raises(ValueError, match="this loss leaves a learned variance untrained"):
        loss(oracle(LINEAR, batch, v=0.0, variance="learned"), batch)


@pytest.mark.parametrize("variance", ["small", "large"])
def test_hybrid_needs_a_learned_variance(variance):
    batch = Noised.at(LINEAR, *bytes_and_noise(1), torch.tensor([5]))
    with pytest.raises(ValueError, match=f"needs model.variance=learned, but that is '{variance}'"):
        hybrid(oracle(LINEAR, batch, variance=variance), batch)


@PREDICTS
@given(t=st.integers(2, 1000))
@FEW
def test_hybrid_is_nothing_for_an_oracle_of_noise_and_variance(predicts, t):
    batch = Noised.at(LINEAR, *bytes_and_noise(2), torch.tensor([t, 1000]))
    assert (
        hybrid(oracle(LINEAR, batch, v=-1.0, predicts=predicts, variance="learned"), batch)
        .abs()
        .max()
        < 1e-6
    )


@pytest.mark.parametrize(("steps", "weight"), [(1000, 0.001), (1000, 0.5), (200, 0.001)])
def test_hybrid_is_l2_plus_lambda_steps_times_the_bound(steps, weight):
    diffusion = GaussianDiffusion.from_betas(linear(steps=steps))
    batch = Noised.at(diffusion, *bytes_and_noise(3), torch.tensor([1, 2, 100]))
    learned = oracle(diffusion, batch, error=0.1, v=0.3, variance="learned")
    simple = l2(oracle(diffusion, batch, error=0.1), batch)
    expected = simple + weight * steps * bound(diffusion, learned(batch.x_t, batch.t), batch)
    torch.testing.assert_close(hybrid(learned, batch, vlb_weight=weight), expected)


def test_the_bound_in_hybrid_trains_the_variance_alone():
    batch = Noised.at(LINEAR, *bytes_and_noise(3), torch.tensor([1, 2, 500]))
    output = torch.full((3, 6, 4, 4), 0.1, dtype=torch.float64, requires_grad=True)
    learned, fixed = (
        Denoiser(LINEAR, Answer(output[:, :n]), variance=kind)
        for n, kind in ((6, "learned"), (3, "small"))
    )
    (both,) = torch.autograd.grad(hybrid(learned, batch).sum(), output)
    (simple,) = torch.autograd.grad(l2(fixed, batch).sum(), output)
    torch.testing.assert_close(both[:, :3], simple[:, :3])
    assert (both[:, 3:] != 0).all()


@pytest.mark.parametrize(
    ("t", "noisy", "mean", "error", "bits"),
    [
        (0, 387.31583, 387.33514, 0.3326825, 1.7064543),
        (10, 401.04004, 398.77057, 0.2906191, 0.0331129),
        (999, 385.92856, 382.05743, 0.0000116, 0.0000003),
    ],
)
def test_the_dummy_problem_agrees_with_public_codes(t, noisy, mean, error, bits):
    batch = dummy_problem(t)
    estimate = DUMMY(batch.x_t, batch.t)
    assert batch.x_t.sum().item() == pytest.approx(noisy, abs=1e-3)
    assert LINEAR.posterior_mean(estimate.x0, batch.x_t, t + 1, t).sum().item() == pytest.approx(
        mean, abs=1e-3
    )
    assert l2(DUMMY, batch).mean().item() == pytest.approx(error, abs=1e-6)
    assert bound(LINEAR, estimate, batch, tanh_cdf).mean().item() == pytest.approx(bits, abs=5e-6)


def test_the_exact_normal_distribution_differs_from_the_published_one_in_the_fourth_digit():
    batch = dummy_problem(0)
    assert bound(LINEAR, DUMMY(batch.x_t, batch.t), batch).mean().item() == pytest.approx(
        1.7060, abs=1e-4
    )


@pytest.mark.parametrize("diffusion", [LINEAR, COSINE], ids=["linear", "cosine"])
@PREDICTS
@given(t=st.integers(2, 1000))
@FEW
def test_the_bound_of_an_oracle_is_nothing_before_the_decoder(diffusion, predicts, t):
    batch = Noised.at(diffusion, *bytes_and_noise(2), torch.tensor([t, 2]))
    estimate = oracle(diffusion, batch, predicts=predicts)(batch.x_t, batch.t)
    assert bound(diffusion, estimate, batch).abs().max() < 1e-9


@pytest.mark.parametrize(
    ("diffusion", "expected"), [(LINEAR, 1.297), (COSINE, 0.735)], ids=["linear", "cosine"]
)
def test_the_decoder_of_an_oracle_costs_bits(diffusion, expected):
    batch = Noised.at(diffusion, *bytes_and_noise(16, size=32), torch.full((16,), 1))
    estimate = oracle(diffusion, batch)(batch.x_t, batch.t)
    assert bound(diffusion, estimate, batch).mean().item() == pytest.approx(expected, abs=4e-3)


@pytest.mark.parametrize(("t", "expected"), [(2, 0.175), (1000, 0.0)])
def test_a_large_variance_costs_an_oracle_bits(t, expected):
    batch = Noised.at(LINEAR, *bytes_and_noise(2), torch.full((2,), t))
    estimate = oracle(LINEAR, batch, variance="large")(batch.x_t, batch.t)
    assert bound(LINEAR, estimate, batch).tolist() == pytest.approx([expected, expected], abs=5e-4)


@given(t=st.integers(2, 1000), error=st.floats(-1, 1), v=st.floats(-1, 1))
@FEW
def test_the_bound_is_never_negative(t, error, v):
    batch = Noised.at(LINEAR, *bytes_and_noise(2), torch.tensor([t, 1]))
    estimate = oracle(LINEAR, batch, error=error, v=v, variance="learned")(batch.x_t, batch.t)
    assert (bound(LINEAR, estimate, batch) > -1e-12).all()


@given(t=st.integers(2, 1000), error=st.floats(0.01, 1), more=st.floats(0.01, 1))
@FEW
def test_the_bound_grows_with_the_error(t, error, more):
    batch = Noised.at(LINEAR, *bytes_and_noise(1), torch.tensor([t]))
    less, greater = (
        bound(LINEAR, oracle(LINEAR, batch, each)(batch.x_t, batch.t), batch)
        for each in (error, error + more)
    )
    assert less < greater


@pytest.mark.parametrize("cdf", [torch.special.ndtr, tanh_cdf], ids=["exact", "tanh"])
@given(mean=st.floats(-1, 1), log_scale=st.floats(-3, 0))
@FEW
def test_the_probabilities_of_all_bytes_sum_to_one(cdf, mean, log_scale):
    x0 = (torch.arange(256, dtype=torch.float64) / 127.5 - 1).view(1, 1, 16, 16)
    log_p = discrete_log_likelihood(
        x0, torch.full_like(x0, mean), torch.tensor(log_scale, dtype=torch.float64), cdf
    )
    assert log_p.exp().sum().item() == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("byte", [0, 1, 127, 254, 255])
def test_a_likelihood_far_off_is_finite_in_single_precision(byte):
    x0 = torch.full((1, 1, 1, 1), byte / 127.5 - 1)
    log_p = discrete_log_likelihood(x0, -x0.sign(), torch.tensor(-9.0))
    assert log_p.item() == pytest.approx(math.log(1e-12))


@pytest.mark.parametrize("sign", [-1, 1])
def test_both_tails_keep_their_digits_in_single_precision(sign):
    x0, mean, scale = (
        torch.zeros(1, 1, 1, 1),
        torch.full((1, 1, 1, 1), 0.06 * sign),
        torch.tensor(math.log(0.01)),
    )
    precise = discrete_log_likelihood(x0.double(), mean.double(), scale.double())
    torch.testing.assert_close(
        discrete_log_likelihood(x0, mean, scale).double(), precise, rtol=1e-3, atol=0
    )


def test_a_batch_holds_what_the_process_gives():
    x0, eps = bytes_and_noise(2)
    t, label = torch.tensor([3, 1000]), torch.tensor([0, -1])
    batch = Noised.at(LINEAR, x0, eps, t, label)
    assert torch.equal(batch.x_t, LINEAR.add_noise(x0, eps, t))
    assert batch.label is label and batch.weight == 1


MIN_SNR = {"eps": [5.0005e-4, 0.58570851, 1, 1], "x0": [5, 5, 1.089528, 0.084360]}
SNR = LINEAR.snr(torch.tensor([1, 101, 251, 501]))


@pytest.mark.parametrize("predicts", ["eps", "x0", "v"])
def test_the_weights_of_min_snr_agree_with_published_values(predicts):
    batch = Noised.at(LINEAR, *bytes_and_noise(4), torch.tensor([1, 101, 251, 501]))
    published = {**MIN_SNR, "v": (SNR.clamp(max=5) / (SNR + 1)).tolist()}
    assert min_snr(
        oracle(LINEAR, batch, error=1.0, predicts=predicts), batch
    ).tolist() == pytest.approx(published[predicts], rel=1e-4)


@pytest.mark.parametrize("predicts", ["eps", "x0", "v"])
def test_the_weights_of_p2_are_those_of_its_paper_times_what_turns_the_output_into_eps(predicts):
    batch = Noised.at(LINEAR, *bytes_and_noise(4), torch.tensor([1, 101, 251, 501]))
    of_eps = {"eps": SNR**0, "x0": SNR, "v": SNR / (1 + SNR)}[predicts]
    found = p2(oracle(LINEAR, batch, error=1.0, predicts=predicts), batch, gamma=0.5, k=2.0)
    torch.testing.assert_close(found, of_eps / (2 + SNR) ** 0.5)


@pytest.mark.parametrize("predicts", ["x0", "v"])
@pytest.mark.parametrize("loss", [min_snr, partial(min_snr, gamma=1.0), p2, partial(p2, k=2.0)])
def test_the_time_without_signal_weighs_one(loss, predicts):
    silent = GaussianDiffusion.from_betas(with_zero_snr(linear()))
    batch = Noised.at(silent, *bytes_and_noise(2), torch.tensor([1000, 500]))
    last, middle = loss(oracle(silent, batch, error=1.0, predicts=predicts), batch).tolist()
    assert last == pytest.approx(1)
    assert 0 < middle < 1


@pytest.mark.parametrize(
    "loss",
    [vlb, *(partial(each, distance=by) for each in (min_snr, p2) for by in ("l1", "l2", "huber"))],
)
def test_a_weight_on_x0_is_the_same_loss_whatever_the_network_predicts(loss):
    batch = Noised.at(LINEAR, *bytes_and_noise(3), torch.tensor([2, 300, 1000]))
    guess = batch.x0 + 0.1
    eps = LINEAR.noise_in(batch.x_t, guess, batch.t)
    denoisers = [
        Denoiser(LINEAR, nn.Identity(), predicts=predicts) for predicts in ("eps", "x0", "v")
    ]
    one, *others = (
        loss(
            Denoiser(LINEAR, Answer(each.target(guess, eps, batch.t)), predicts=each.predicts),
            batch,
        )
        for each in denoisers
    )
    assert (one > 0).all()
    assert all(torch.allclose(one, other, rtol=1e-6) for other in others)


def test_the_bound_alone_is_its_term_times_the_steps():
    batch = Noised.at(LINEAR, *bytes_and_noise(3), torch.tensor([1, 2, 100]))
    learned = oracle(LINEAR, batch, error=0.1, v=0.3, variance="learned")
    torch.testing.assert_close(
        vlb(learned, batch), 1000 * bound(LINEAR, learned(batch.x_t, batch.t), batch)
    )


@pytest.mark.parametrize("loss", [vlb, hybrid])
def test_the_bound_is_of_a_process_without_perturbation(loss):
    batch = replace(Noised.at(LINEAR, *bytes_and_noise(1), torch.tensor([5])), perturbed=True)
    with pytest.raises(ValueError, match=r"it does not go with trainer\.input_perturbation"):
        loss(oracle(LINEAR, batch, v=0.0, variance="learned"), batch)


def test_hybrid_takes_any_distance():
    batch = Noised.at(LINEAR, *bytes_and_noise(2), torch.tensor([5, 500]))
    learned, fixed = (
        oracle(LINEAR, batch, error=-2.0, **kind)
        for kind in ({"v": -1.0, "variance": "learned"}, {})
    )
    torch.testing.assert_close(
        hybrid(learned, batch, vlb_weight=0.0, distance="huber"), huber(fixed, batch)
    )


def test_an_uncertainty_settles_at_the_logarithm_of_each_time_s_loss():
    batch, losses = (
        Noised.at(LINEAR, *bytes_and_noise(4), torch.tensor([1, 250, 600, 1000])),
        torch.tensor([0.1, 0.5, 2.0, 30.0]),
    )
    uncertain = Uncertain(lambda denoiser, batch: losses, waves=8)
    optimizer = torch.optim.Adam(uncertain.parameters(), lr=0.03)
    for _ in range(1000):
        optimizer.zero_grad()
        uncertain(DUMMY, batch).sum().backward()
        optimizer.step()
    torch.testing.assert_close(uncertain.log_spread(batch.t, 1000).exp(), losses, rtol=0.02, atol=0)


def test_an_uncertainty_changes_the_gradient_and_not_the_number():
    batch = Noised.at(LINEAR, *bytes_and_noise(2), torch.tensor([250, 1000]))
    output = torch.ones(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    denoiser, uncertain = Denoiser(LINEAR, Answer(output)), Uncertain(l2, waves=4)
    with torch.no_grad():
        uncertain.u.copy_(torch.tensor([0.3, 0.5, -0.2, 0.1]))
    torch.testing.assert_close(uncertain(denoiser, batch), l2(denoiser, batch))
    found, plain = (
        torch.autograd.grad(loss(denoiser, batch).sum(), output)[0] for loss in (uncertain, l2)
    )
    spread = uncertain.log_spread(batch.t, 1000).detach().exp().double()
    torch.testing.assert_close(found, plain / spread.view(-1, 1, 1, 1), rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (partial(min_snr, gamma=0.0), "loss.gamma must be positive, but is 0.0"),
        (
            partial(p2, gamma=-1.0),
            "loss.gamma must be at least 0 and loss.k positive, but they are -1.0 and 1.0",
        ),
        (
            partial(p2, k=0.0),
            "loss.gamma must be at least 0 and loss.k positive, but they are 1.0 and 0.0",
        ),
        (partial(huber, delta=0.0), "loss.delta must be positive, but is 0.0"),
    ],
)
def test_weights_that_mean_nothing_are_refused(loss, said):
    batch = Noised.at(LINEAR, *bytes_and_noise(1), torch.tensor([5]))
    with pytest.raises(ValueError, match=said):
        loss(oracle(LINEAR, batch), batch)


def test_an_uncertainty_has_waves():
    with pytest.raises(ValueError, match=r"loss.waves must be 1 to 1,000, but is 0"):
        Uncertain(l2, waves=0)
