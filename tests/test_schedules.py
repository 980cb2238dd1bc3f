"""Schedules against published values, and the property that all of them share."""

import math

import pytest
import torch

from ddpm_cli import schedules
from ddpm_cli.diffusion import GaussianDiffusion


def alpha_bar(betas, index):
    return GaussianDiffusion.from_betas(betas).alpha_bar[index + 1].item()


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        (
            "linear",
            {
                0: 0.9999,
                1: 0.9997800921,
                250: 0.5214230306,
                500: 0.07779665837,
                999: 4.035829765e-5,
            },
        ),
        ("cosine", {250: 0.8458879865, 500: 0.4922851724, 999: 2.428766907e-9}),
        ("quadratic", {500: 0.33127458}),
        ("sigmoid", {500: 0.29888763}),
    ],
)
def test_alpha_bar_agrees_with_published_values(schedule, values):
    betas = getattr(schedules, schedule)()
    assert [alpha_bar(betas, index) for index in values] == pytest.approx(
        list(values.values()), rel=1e-7
    )


def test_single_betas_agree_with_published_values():
    assert schedules.linear()[500].item() == pytest.approx(0.01005995996, rel=1e-9)
    assert schedules.cosine()[0].item() == pytest.approx(4.128422482e-5, rel=1e-9)
    assert (schedules.cosine() == 0.999).sum() == 1


@pytest.mark.parametrize("schedule", ["linear", "quadratic", "sigmoid"])
def test_every_length_adds_the_same_noise(schedule):
    long, short = (getattr(schedules, schedule)(steps=steps).sum().item() for steps in (1000, 250))
    assert short == pytest.approx(long, rel=2e-3)


@pytest.mark.parametrize("schedule", ["linear", "quadratic", "sigmoid", "cosine"])
def test_betas_are_exact_numbers(schedule):
    betas = getattr(schedules, schedule)(steps=100)
    assert (betas.dtype, len(betas)) == (torch.float64, 100)


def test_a_linear_schedule_of_few_steps_is_refused():
    with pytest.raises(
        ValueError, match=r"betas must lie between 0 and 1, but run from 0\.01 to 2"
    ):
        GaussianDiffusion.from_betas(schedules.linear(steps=10))


@pytest.mark.parametrize("steps", [0, -3])
def test_a_schedule_has_steps(steps):
    with pytest.raises(
        ValueError, match=f"steps must be at least 1 and at most 1,000,000, but is {steps}"
    ):
        schedules.cosine(steps=steps)


def test_the_shifted_cosine_is_the_cosine_at_its_base_and_scales_the_snr_elsewhere():
    torch.testing.assert_close(
        schedules.shifted(size=64), schedules.cosine(), rtol=1e-12, atol=1e-15
    )
    large, cosine = (
        GaussianDiffusion.from_betas(betas)
        for betas in (schedules.shifted(size=256), schedules.cosine())
    )
    torch.testing.assert_close(
        large.snr(torch.arange(1, 1000)), cosine.snr(torch.arange(1, 1000)) / 16
    )


def test_the_sigmoid_in_alpha_bar_is_the_published_formula():
    gamma = [1 / (1 + math.exp(-x)) for x in (-3, -1.5, 0, 1.5, 3)]
    expected = [(gamma[-1] - value) / (gamma[-1] - gamma[0]) for value in gamma[1:-1]]
    found = GaussianDiffusion.from_betas(schedules.sigmoid_alpha_bar(steps=4)).alpha_bar
    assert found[1:-1].tolist() == pytest.approx(expected, rel=1e-12)


def test_a_zero_terminal_snr_keeps_the_first_time_and_the_shape():
    before = GaussianDiffusion.from_betas(schedules.linear())
    after = GaussianDiffusion.from_betas(schedules.with_zero_snr(schedules.linear()))
    alpha, rescaled = before.alpha_bar.sqrt(), after.alpha_bar.sqrt()
    assert (rescaled[1].item(), rescaled[-1].item()) == (
        pytest.approx(alpha[1].item(), rel=1e-12),
        0,
    )
    torch.testing.assert_close(
        rescaled[1:].diff() / alpha[1:].diff(),
        torch.full((999,), (alpha[1] / (alpha[1] - alpha[-1])).item()).double(),
    )


@pytest.mark.parametrize("text", ["0.9 0.5, 0.1", "1\n0.9\n0.5\n0.1\n", "[1.0, 0.9, 0.5, 0.1]"])
def test_numbers_of_a_file_are_a_schedule(tmp_path, text):
    (tmp_path / "numbers.txt").write_text(text)
    diffusion = GaussianDiffusion.from_betas(schedules.listed(path=str(tmp_path / "numbers.txt")))
    assert diffusion.alpha_bar.tolist() == pytest.approx([1, 0.9, 0.5, 0.1], rel=1e-12)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0.5", "path must hold 2 to 4,000 finite numbers, but .* holds 1, 1 finite"),
        ("1 " * 4001, "path must hold 2 to 4,000 finite numbers, but .* holds 4,001"),
        (
            "0.9 much",
            "path must be a file of numbers, but .* is none: "
            "could not convert string to float: 'much'",
        ),
        ("0.1 0.9", "betas must lie between 0 and 1, but run from -8 to 0.9"),
        ("0.9 nan", "but .* holds 2, 1 finite"),
    ],
)
def test_a_file_without_a_schedule_is_refused(tmp_path, text, said):
    (tmp_path / "numbers.txt").write_text(text)
    with pytest.raises(ValueError, match=said):
        GaussianDiffusion.from_betas(schedules.listed(path=str(tmp_path / "numbers.txt")))


@pytest.mark.parametrize(
    ("schedule", "options", "said"),
    [
        ("shifted", {"size": 0}, "size and base must be at least 1, but they are 0 and 64"),
        (
            "sigmoid_alpha_bar",
            {"start": 3.0},
            "start must be below end and tau positive, but they are 3.0, 3.0 and 1.0",
        ),
        ("sigmoid_alpha_bar", {"max_beta": 1.5}, r"max_beta must be in \(0, 1\], but is 1.5"),
        ("cosine", {"offset": -1.0}, "offset must be at least 0, but is -1.0"),
    ],
)
def test_what_is_no_schedule_is_refused(schedule, options, said):
    with pytest.raises(ValueError, match=said):
        getattr(schedules, schedule)(**options)
