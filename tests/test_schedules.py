"""Schedules against published values, and the property that all of them share."""

import pytest
import torch

from ddpm_cli import schedules
from ddpm_cli.diffusion import GaussianDiffusion


def alpha_bar(betas, index):
    return GaussianDiffusion.from_betas(betas).alpha_bar[index + 1].item()


@pytest.mark.parametrize(
    ("schedule", "values"),
    [
        ("linear", {0: 0.9999, 1: 0.9997800921, 250: 0.5214230306, 500: 0.07779665837, 999: 4.035829765e-5}),
        ("cosine", {250: 0.8458879865, 500: 0.4922851724, 999: 2.428766907e-9}),
        ("quadratic", {500: 0.33127458}),
        ("sigmoid", {500: 0.29888763}),
    ],
)
def test_alpha_bar_agrees_with_published_values(schedule, values):
    betas = getattr(schedules, schedule)()
    assert [alpha_bar(betas, index) for index in values] == pytest.approx(list(values.values()), rel=1e-7)


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
    with pytest.raises(ValueError, match=r"betas must lie between 0 and 1, but run from 0\.01 to 2"):
        GaussianDiffusion.from_betas(schedules.linear(steps=10))


@pytest.mark.parametrize("steps", [0, -3])
def test_a_schedule_has_steps(steps):
    with pytest.raises(ValueError, match=f"steps must be at least 1 and at most 1,000,000, but is {steps}"):
        schedules.cosine(steps=steps)
