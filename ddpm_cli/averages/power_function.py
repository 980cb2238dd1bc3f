"""The mathematics of power-function EMAs: exponent, decay, and coefficients of a reconstruction.

After t steps, the EMA of the weights w has the profile p(u) = (g + 1) u^g / t^(g + 1) over the
steps u. Its length is the standard deviation of p as a share of t (Karras et al. 2024b, section 3).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ddpm_cli.shapes import Each, Exponents, Gram, Number

LONGEST = 0.28  # at an exponent of 0, the plain mean of all steps, the length is 0.289
SHORTEST = 1e-6  # below, an EMA is the weights themselves in any run


@dataclass(frozen=True)
class Profile:
    """What an EMA averages. length: its relative standard deviation. applied: its steps."""

    length: float
    applied: int


def check_length(length: float, name: str = "length") -> None:
    """Refuse a length outside (0, 0.28]. name: of the option."""
    if not 0 < length <= LONGEST:
        raise ValueError(f"{name} must be above 0 and at most {LONGEST}, but is {length}")


def exponent(length: float) -> float:
    """The exponent g of a length s: the largest root of s^-2 (g + 1) = (g + 2)^2 (g + 3)."""
    inverse = max(length, SHORTEST) ** -2
    return float(np.roots([1, 7, 16 - inverse, 12 - inverse]).real.max())


def decay(length: float, applied: int) -> float:
    """The decay beta of an EMA at its step number `applied`: (1 - 1/t)^(g + 1)."""
    return float((1 - 1 / applied) ** (exponent(length) + 1))


def new_weights(applied: Number, exponents: Exponents) -> Exponents:
    """The weight 1 - beta of the newest weights in each EMA, precise for many steps in float32.

    Before the first step, the weight is 1.
    """
    share = torch.log1p(-1 / applied.clamp(min=1))
    return -torch.expm1((exponents + 1) * share)


def coefficients(sources: Sequence[Profile], target: Profile) -> list[float]:
    """The coefficients of EMAs whose sum is the target, as nearly as possible.

    They are A^-1 b divided by their sum, with the inner products A of the profiles of the sources,
    and b of the sources and the target (equation 20 and appendix C). A source that is the target
    has the coefficient 1.
    """
    if target in sources:
        return [float(place == sources.index(target)) for place in range(len(sources))]
    products = inner_products([*sources, target])
    solution = torch.linalg.lstsq(products[:-1, :-1], products[:-1, -1:], driver="gelsd").solution
    solved: Each = solution[:, 0]
    numbers: list[float] = (solved / solved.sum()).tolist()
    return numbers


def inner_products(profiles: Sequence[Profile]) -> Gram:
    """The inner product of each two profiles.

    (ga + 1) (gb + 1) m^(ga + gb + 1) / ((ga + gb + 1) ta^(ga + 1) tb^(gb + 1)), m = min(ta, tb),
    where the powers of the smaller t cancel, so that nothing overflows.
    """
    g = torch.tensor([exponent(each.length) for each in profiles], dtype=torch.float64)
    t = torch.tensor([each.applied for each in profiles], dtype=torch.float64)
    ga, gb, ta, tb = g[:, None], g[None, :], t[:, None], t[None, :]
    later = torch.maximum(ta, tb)
    powers = (torch.minimum(ta, tb) / later) ** torch.where(ta < tb, gb, ga)
    return (ga + 1) * (gb + 1) / (ga + gb + 1) * powers / later
