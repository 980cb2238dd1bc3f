"""Noise schedules: functions that return beta_1..beta_T in float64."""

import math

import torch

from ddpm_cli.shapes import Betas


def linear(*, steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> Betas:
    """Betas even from `first` to `last` (Ho et al. 2020), scaled by 1000 / steps (Nichol & Dhariwal 2021)."""
    return (first + (last - first) * ramp(steps)) * 1000 / steps


def quadratic(*, steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> Betas:
    """Square roots of the betas even from that of `first` to that of `last`, scaled by 1000 / steps."""
    return (math.sqrt(first) + ramp(steps) * (math.sqrt(last) - math.sqrt(first))) ** 2 * 1000 / steps


def sigmoid(*, steps: int = 1000, first: float = 1e-4, last: float = 0.02, width: float = 6.0) -> Betas:
    """Betas along a sigmoid over [-width, width] from `first` to `last`, scaled by 1000 / steps."""
    return (first + (last - first) * torch.sigmoid((2 * ramp(steps) - 1) * width)) * 1000 / steps


def cosine(*, steps: int = 1000, offset: float = 0.008, max_beta: float = 0.999) -> Betas:
    """alpha_bar(t) = f(t) / f(0), f(t) = cos^2((t / T + offset) / (1 + offset) pi / 2) (Nichol & Dhariwal 2021, eq. 17)."""
    time = torch.arange(positive(steps) + 1, dtype=torch.float64) / steps
    alpha_bar = torch.cos((time + offset) / (1 + offset) * math.pi / 2) ** 2
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=max_beta)


def ramp(steps: int) -> Betas:
    """`steps` numbers even from 0 to 1."""
    return torch.linspace(0, 1, positive(steps), dtype=torch.float64)


def positive(steps: int) -> int:
    """`steps`, if there are any."""
    if steps < 1:
        raise ValueError(f"steps must be at least 1, but is {steps}")
    return steps
