"""Likelihood of oracles, of Gaussian data and of public codes; noise that knows of no batch."""

import math

import pytest
import torch
from problems import (
    Dummy,
    constant_oracle,
    correlated_oracle,
    dummy_images,
    dummy_noise,
    gaussian_reverse,
)

from ddpm_cli.denoiser import Denoiser
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.evaluation.bits_per_dim import (
    bound_rates,
    bound_terms,
    even_levels,
    flow_bits,
    noise_at_times,
    prior_bits,
)
from ddpm_cli.images import to_bytes, to_float
from ddpm_cli.losses import discrete_log_likelihood, normal_cdf, tanh_cdf
from ddpm_cli.schedules import cosine, linear

LINEAR = GaussianDiffusion.from_betas(linear())
SHORT = {
    "linear": GaussianDiffusion.from_betas(linear(steps=50)),
    "cosine": GaussianDiffusion.from_betas(cosine(steps=50)),
}
SILENT = GaussianDiffusion.from_betas(torch.tensor([0.1, 0.5, 1.0], dtype=torch.float64))
STD = 0.25
ENTROPY = math.log2(STD * 127.5 * math.sqrt(2 * math.pi * math.e))
KINDS = pytest.mark.parametrize("kind", ["bound", "flow"])
SCHEDULES = pytest.mark.parametrize("schedule", SHORT)


def gaussian_images(count):
    """8-bit images of independent normal pixels."""
    noise = torch.randn(
        count, 1, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    return to_float(to_bytes(STD * noise)).double()


def bits(kind, denoise, diffusion, x0, indices, cdf=normal_cdf, seed=0, steps=100):
    """Bits per dimension of every image."""
    noise = noise_at_times(x0, seed, indices)
    if kind == "bound":
        return prior_bits(diffusion, x0) + sum(
            each for _, each, _ in bound_terms(denoise, diffusion, x0, noise, cdf)
        )
    *_, found = flow_bits(denoise, diffusion, x0, noise, cdf, even_levels(diffusion, steps))
    return found


@KINDS
@SCHEDULES
def test_of_gaussian_data_the_bits_are_the_entropy(kind, schedule):
    diffusion, x0 = SHORT[schedule], gaussian_images(256)
    found = bits(kind, gaussian_reverse(diffusion, STD**2), diffusion, x0, range(256)).mean().item()
    of_these = -discrete_log_likelihood(
        x0, torch.zeros_like(x0), torch.tensor(math.log(STD)).double()
    ).mean().item() / math.log(2)
    assert found == pytest.approx(ENTROPY, rel=0.02)
    assert found == pytest.approx(of_these, rel=0.003)


@SCHEDULES
def test_of_correlated_pixels_the_flow_finds_the_entropy_by_random_probes(schedule):
    diffusion, place = SHORT[schedule], torch.arange(16, dtype=torch.float64)
    covariance = STD**2 * 0.5 ** (place[:, None] - place).abs()
    noise = torch.randn(512, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x0 = to_float(
        to_bytes((noise @ torch.linalg.cholesky(covariance).T).view(-1, 1, 4, 4))
    ).double()
    expected = 0.5 * (
        math.log2(2 * math.pi * math.e) + torch.logdet(covariance).item() / (16 * math.log(2))
    ) + math.log2(127.5)
    found = (
        bits("flow", correlated_oracle(diffusion, covariance), diffusion, x0, range(512))
        .mean()
        .item()
    )
    assert found == pytest.approx(expected, rel=0.01)


@SCHEDULES
def test_an_oracle_pays_for_the_end_and_the_decoder_alone(schedule):
    diffusion, x0 = SHORT[schedule], gaussian_images(2)
    (_, decoder, error), *others = bound_terms(
        constant_oracle(x0), diffusion, x0, noise_at_times(x0, 0, [0, 1]), normal_cdf
    )
    torch.testing.assert_close(
        bits("bound", constant_oracle(x0), diffusion, x0, [0, 1]),
        prior_bits(diffusion, x0) + decoder,
    )
    assert [t for t, *_ in others] == list(range(2, 51))
    assert error.tolist() == [0, 0]


def test_the_end_costs_what_the_divergence_of_two_normals_is():
    x0, diffusion = gaussian_images(3), SHORT["linear"]
    alpha, sigma = diffusion.scales(50, x0)
    q, p = torch.distributions.Normal(alpha * x0, sigma), torch.distributions.Normal(0, 1)
    expected = torch.distributions.kl_divergence(q, p).mean(dim=(1, 2, 3)) / math.log(2)
    torch.testing.assert_close(prior_bits(diffusion, x0), expected, check_dtype=False)
    assert prior_bits(SILENT, x0).tolist() == [0, 0, 0]


@KINDS
def test_an_image_has_the_same_bits_in_any_batch(kind):
    diffusion, x0 = SHORT["linear"], gaussian_images(4)
    denoise = gaussian_reverse(diffusion, STD**2)
    together = bits(kind, denoise, diffusion, x0, range(4), steps=5)
    alone = [
        bits(kind, denoise, diffusion, x0[place : place + 1], [place], steps=5)
        for place in range(4)
    ]
    torch.testing.assert_close(torch.cat(alone), together)
    assert not torch.equal(bits(kind, denoise, diffusion, x0, range(4), seed=1, steps=5), together)


def test_noise_differs_by_seed_image_and_time():
    like = torch.zeros(2, 1, 4, 4)
    drawn = [
        *noise_at_times(like, 0, [3, 4])(1),
        *noise_at_times(like, 0, [3, 4])(2),
        *noise_at_times(like, 1, [3, 4])(1),
    ]
    assert len({tuple(each.flatten().tolist()) for each in drawn}) == 6
    assert torch.equal(
        noise_at_times(like, 0, [3, 4])(2)[1], noise_at_times(like[:1], 0, [4])(2)[0]
    )


def test_the_terms_of_the_dummy_problem_agree_with_public_codes():
    found = [
        each.mean().item()
        for _, each, _ in bound_terms(
            Denoiser(LINEAR, Dummy()), LINEAR, dummy_images(), lambda t: dummy_noise(), tanh_cdf
        )
    ]
    assert [found[0], found[10], found[999]] == pytest.approx(
        [1.7064543, 0.0331129, 0.0000003], abs=5e-6
    )


def test_the_estimate_is_clipped_in_the_bound():
    x0 = torch.ones(1, 1, 2, 2)
    errors = [
        error.item()
        for *_, error in bound_terms(
            constant_oracle(3 * x0), SHORT["linear"], x0, noise_at_times(x0, 0, [0]), normal_cdf
        )
    ]
    assert errors == [0] * 50


def test_rates_add_up_from_the_end():
    found = bound_rates(0.5, torch.tensor([4.0, 2.0, 1.0], dtype=torch.float64))
    assert found.tolist() == [3.5, 1.5, 0.5]


def test_levels_are_even_from_the_first_time_to_the_last():
    times = even_levels(LINEAR, 100)
    assert (len(times), times[0], times[-1]) == (101, 1, 1000)
    steps = LINEAR.level(torch.tensor(times, dtype=torch.float64)).log().diff()
    torch.testing.assert_close(steps, steps.mean().expand_as(steps))


def test_the_flow_refuses_a_schedule_that_ends_without_signal():
    with pytest.raises(
        ValueError,
        match=r"nll=ode needs some signal at the end of the schedule, but its SNR there is 0",
    ):
        even_levels(SILENT, 100)
