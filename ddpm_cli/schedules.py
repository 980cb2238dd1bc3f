"""Noise schedules: functions that return beta_1..beta_T in float64."""

import math
import re
from dataclasses import KW_ONLY, dataclass
from typing import Literal

import torch

from ddpm_cli.files import load_text, user_path
from ddpm_cli.shapes import AlphaBar, Betas

MOST = 4000  # numbers of a file; every checkpoint holds them


@dataclass(frozen=True)
class Ending:
    """The options of every schedule.

    zero_snr: the last time is pure noise, as sampling assumes; the first time stays.
    """

    _: KW_ONLY
    zero_snr: bool = False


def linear(*, steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> Betas:
    """Betas even from `first` to `last` (Ho et al. 2020), times 1000 / steps.

    The factor is of Nichol & Dhariwal 2021.
    """
    first, last = check_rising(first, last)
    return (first + (last - first) * ramp(steps)) * 1000 / steps


def quadratic(*, steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> Betas:
    """Roots of the betas even from the root of `first` to that of `last`, times 1000 / steps."""
    low, high = map(math.sqrt, check_rising(first, last))
    return (low + ramp(steps) * (high - low)) ** 2 * 1000 / steps


def sigmoid(
    *, steps: int = 1000, first: float = 1e-4, last: float = 0.02, width: float = 6.0
) -> Betas:
    """Betas along a sigmoid over [-width, width] from `first` to `last`, times 1000 / steps."""
    first, last = check_rising(first, last)
    if width <= 0:
        raise ValueError(f"width must be positive, but is {width}")
    return (first + (last - first) * torch.sigmoid((2 * ramp(steps) - 1) * width)) * 1000 / steps


def cosine(*, steps: int = 1000, offset: float = 0.008, max_beta: float = 0.999) -> Betas:
    """alpha_bar(t) = f(t) / f(0), f(t) = cos^2((t / T + offset) / (1 + offset) pi / 2).

    Nichol & Dhariwal 2021, eq. 17.
    """
    return betas_of(squared_cosine(steps, offset), max_beta)


def shifted(
    *, size: int, steps: int = 1000, base: int = 64, offset: float = 0.008, max_beta: float = 0.999
) -> Betas:
    """The cosine's SNR times (base / size)^2: larger images need more noise.

    Hoogeboom et al. 2023, eq. 4.
    """
    if min(size, base) < 1:
        raise ValueError(f"size and base must be at least 1, but they are {size} and {base}")
    alpha_bar = squared_cosine(steps, offset)
    alpha_bar = alpha_bar / (alpha_bar + (size / base) ** 2 * (alpha_bar[0] - alpha_bar))
    return betas_of(alpha_bar, max_beta)


def sigmoid_alpha_bar(
    *,
    steps: int = 1000,
    start: float = -3.0,
    end: float = 3.0,
    tau: float = 1.0,
    max_beta: float = 0.999,
) -> Betas:
    """alpha_bar along a falling sigmoid of x / tau, x from `start` to `end`, scaled to [0, 1].

    Jabri et al. 2022; Chen 2023, code 1.
    """
    if not (start < end and tau > 0):
        raise ValueError(
            f"start must be below end and tau positive, but they are {start}, {end} and {tau}"
        )
    along = torch.sigmoid((start + (end - start) * ramp(check_positive(steps) + 1)) / tau)
    return betas_of(along[-1] - along, max_beta)


def listed(*, path: str, quantity: Literal["alpha_bar", "betas"] = "alpha_bar") -> Betas:
    """The numbers of a text file, between blanks, commas or brackets.

    An alpha_bar_0 of 1 may come first. Raises ValueError for other files.
    """
    try:
        words = re.split(r"[\s,;\[\]]+", load_text(user_path(path)))
        values = torch.tensor([float(word) for word in words if word], dtype=torch.float64)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"path must be a file of numbers, but {path!r} is none: {error}"
        ) from error
    finite = int(values.isfinite().sum())
    if not 2 <= finite == len(values) <= MOST:
        raise ValueError(
            f"path must hold 2 to {MOST:,} finite numbers, but {path!r} holds {len(values):,},"
            f" {finite:,} finite"
        )
    if quantity == "betas":
        return values
    return betas_of(values if values[0] == 1 else torch.cat([values.new_ones(1), values]))


def numbers(*, betas: list[float]) -> Betas:
    """The given betas: in a checkpoint they replace the file of the schedule `listed`."""
    return torch.tensor(betas, dtype=torch.float64)


def with_zero_snr(betas: Betas) -> Betas:
    """The betas with pure noise at the last time (Lin et al. 2023, algorithm 1)."""
    alpha = (1 - betas).cumprod(0).sqrt()
    rescaled = (alpha - alpha[-1]) * alpha[0] / (alpha[0] - alpha[-1])
    return betas_of(torch.cat([alpha.new_ones(1), rescaled**2]))


def squared_cosine(steps: int, offset: float) -> AlphaBar:
    """alpha_bar_0..alpha_bar_T of the cosine schedule, up to a factor."""
    if offset < 0:
        raise ValueError(f"offset must be at least 0, but is {offset}")
    time = torch.arange(check_positive(steps) + 1, dtype=torch.float64) / steps
    return torch.cos((time + offset) / (1 + offset) * math.pi / 2) ** 2


def betas_of(alpha_bar: AlphaBar, max_beta: float = 1.0) -> Betas:
    """beta_1..beta_T, at most `max_beta`, of alpha_bar_0..alpha_bar_T times any factor."""
    if not 0 < max_beta <= 1:
        raise ValueError(f"max_beta must be in (0, 1], but is {max_beta}")
    return (1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=max_beta)


def ramp(steps: int) -> Betas:
    """`steps` numbers even from 0 to 1."""
    return torch.linspace(0, 1, check_positive(steps), dtype=torch.float64)


def check_positive(steps: int) -> int:
    """`steps`, or ValueError outside 1 to 1,000,000."""
    if not 1 <= steps <= 10**6:
        raise ValueError(f"steps must be at least 1 and at most 1,000,000, but is {steps}")
    return steps


def check_rising(first: float, last: float) -> tuple[float, float]:
    """(first, last), or ValueError for betas that do not grow."""
    if not 0 < first <= last:
        raise ValueError(
            f"first must be positive and at most last, but they are {first} and {last}"
        )
    return first, last
