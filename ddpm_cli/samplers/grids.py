"""Grids of times: the steps of a sampler between noise and image."""

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Literal, TypeAlias

import torch

from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.shapes import Coefficient

Change: TypeAlias = Callable[[Coefficient], Coefficient]

RHO = 7  # the rho of Karras et al. 2022


def even(diffusion: GaussianDiffusion, steps: int) -> list[float]:
    """From T to 1 in equal steps."""
    return torch.linspace(diffusion.steps, 1, steps, dtype=torch.float64).tolist()


def trailing(diffusion: GaussianDiffusion, steps: int) -> list[float]:
    """T, T - T / steps, ..., T / steps (Lin et al. 2023)."""
    times = (diffusion.steps * (1 - place / steps) for place in range(steps))
    return [max(1.0, t) for t in times]  # rounding may lead below 1


def leading(diffusion: GaussianDiffusion, steps: int) -> list[float]:
    """..., 1 + 2 (T // steps), 1 + T // steps, 1: below T, as in the first public codes."""
    return [1.0 + diffusion.steps // steps * place for place in reversed(range(steps))]


def even_in_root(diffusion: GaussianDiffusion, steps: int) -> list[float]:
    """From T to 1 in equal steps of the square root (Song et al. 2020, section D.2)."""
    roots = torch.linspace(math.sqrt(diffusion.steps), 1, steps, dtype=torch.float64)
    return roots.square().tolist()


def log_snr(diffusion: GaussianDiffusion, steps: int) -> list[float]:
    """To 1 in equal steps of log SNR (Lu et al. 2022), from T or the level e^5.1.

    The authors' code cuts off the cosine schedule at this level.
    """
    return by_level(diffusion, steps, math.exp(5.1), torch.log, torch.exp)


def karras(diffusion: GaussianDiffusion, steps: int) -> list[float]:
    """To 1 in equal steps of (sigma / alpha)^(1 / 7), from T or the level 80.

    Karras et al. 2022, eq. 5 and table 1.
    """
    return by_level(
        diffusion, steps, 80.0, lambda level: level ** (1 / RHO), lambda root: root**RHO
    )


def by_level(
    diffusion: GaussianDiffusion, steps: int, highest: float, function: Change, inverse: Change
) -> list[float]:
    """Times to 1 in equal steps of a function of the noise level, from T or the level `highest`."""
    first, last = diffusion.level(diffusion.steps).clamp(max=highest), diffusion.level(1)
    ends = float(function(first)), float(function(last))
    levels = inverse(torch.linspace(*ends, steps, dtype=torch.float64))
    return diffusion.time_of(-2 * levels.log()).tolist()


SPACINGS = {
    "even": even,
    "trailing": trailing,
    "leading": leading,
    "quadratic": even_in_root,
    "log_snr": log_snr,
    "karras": karras,
}


@dataclass(frozen=True)
class Grid:
    """The options of all samplers. steps: up to T, or `all`. spacing: a name in SPACINGS."""

    _: KW_ONLY
    steps: int | Literal["all"]
    spacing: Literal["even", "trailing", "leading", "quadratic", "log_snr", "karras"]

    def times(self, diffusion: GaussianDiffusion) -> list[float]:
        """The steps + 1 strictly decreasing times from noise to 0."""
        steps = diffusion.steps if self.steps == "all" else self.steps
        if not 1 <= steps <= diffusion.steps:
            raise ValueError(
                f"sampler.steps must be between 1 and {diffusion.steps}, the schedule's steps,"
                f" but is {steps}"
            )
        return [*SPACINGS[self.spacing](diffusion, steps), 0.0]
