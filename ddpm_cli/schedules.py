"""Noise schedules: functions that return beta_1..beta_T in float64."""

import math

import torch

from ddpm_cli.shapes import Betas


def linear(*, steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> Betas:
    """Betas even from `first` to `last` (Ho et al. 2020), scaled by 1000 / steps (Nichol & Dhariwal 2021)."""
    first, last = rising(first, last)
    return (first + (last - first) * ramp(steps)) * 1000 / steps


def quadratic(*, steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> Betas:
    """Square roots of the betas even from that of `first` to that of `last`, scaled by 1000 / steps."""
    first, last = rising(first, last)
    return (math.sqrt(first) + ramp(steps) * (math.sqrt(last) - math.sqrt(first))) ** 2 * 1000 / steps


def sigmoid(*, steps: int = 1000, first: float = 1e-4, last: float = 0.02, width: float = 6.0) -> Betas:
    """Betas along a sigmoid over [-width, width] from `first` to `last`, scaled by 1000 / steps."""
    first, last = rising(first, last)
    if width <= 0:
        raise ValueError(f"width must be positive, but is {width}")
    return (first + (last - first) * torch.sigmoid((2 * ramp(steps) - 1) * width)) * 1000 / steps


def cosine(*, steps: int = 1000, offset: float = 0.008, max_beta: float = 0.999) -> Betas:
    """alpha_bar(t) = f(t) / f(0), f(t) = cos^2((t / T + offset) / (1 + offset) pi / 2) (Nichol & Dhariwal 2021, eq. 17)."""
    if offset < 0 or not 0 < max_beta <= 1:
        raise ValueError(f"offset must be at least 0 and max_beta in (0, 1], but they are {offset} and {max_beta}")
    time = torch.arange(positive(steps) + 1, dtype=torch.float64) / steps
    alpha_bar = torch.cos((time + offset) / (1 + offset) * math.pi / 2) ** 2
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=max_beta)


def ramp(steps: int) -> Betas:
    """`steps` numbers even from 0 to 1."""
    return torch.linspace(0, 1, positive(steps), dtype=torch.float64)


def positive(steps: int) -> int:
    """`steps`, if there are any and they can be counted with."""
    if not 1 <= steps <= 10**6:
        raise ValueError(f"steps must be at least 1 and at most 1,000,000, but is {steps}")
    return steps


def rising(first: float, last: float) -> tuple[float, float]:
    """The ends of betas that grow."""
    if not 0 < first <= last:
        raise ValueError(f"first must be positive and at most last, but they are {first} and {last}")
    return first, last
