"""Samplers of the times that training learns at: functions (u, history) -> times and weights.

u holds keyed uniforms in [0, 1), one for each image of the global batch. The weight makes the mean over the drawn times that over
even ones; where it is 1, the choice of times is part of the objective. One with the option `kept` is given so many losses of each time.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import torch

from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.shapes import Coefficient, Counts, Kept, Times, Uniforms

SampledTimes: TypeAlias = tuple[Times, Coefficient | float]
TimeSampler: TypeAlias = Callable[..., SampledTimes]


@dataclass
class History:
    """The process, and of each of its times the last `kept` losses and how many there have been."""

    diffusion: GaussianDiffusion
    kept: int = 0
    losses: Kept = field(init=False)
    counts: Counts = field(init=False)

    def __post_init__(self) -> None:
        self.losses = torch.zeros(self.diffusion.steps, self.kept, dtype=torch.float64)
        self.counts = torch.zeros(self.diffusion.steps, dtype=torch.int64)

    def note(self, times: list[int], losses: list[float]) -> None:
        """Adds losses, each in place of the oldest of its time; one that is not finite is passed over."""
        kept, counts = (
            self.losses.numpy(),
            self.counts.numpy(),
        )  # the same memory, many times faster to reach
        for t, loss in zip(times, losses, strict=True):
            if abs(loss) < torch.inf:
                kept[t - 1, counts[t - 1] % self.kept] = loss
                counts[t - 1] += 1


def uniform(u: Uniforms, history: History) -> SampledTimes:
    """Every time alike (Ho et al. 2020)."""
    steps = history.diffusion.steps
    return (1 + (u * steps).long()).clamp(
        max=steps
    ), 1.0  # the parts of `stratified` are closed by rounding


def stratified(u: Uniforms, history: History) -> SampledTimes:
    """Every time alike, one from each of as many equal parts as there are images, so that gradients vary less.

    Kingma et al. (2021) draw one number for all parts; here each has its own.
    """
    return uniform((torch.arange(len(u)) + u) / len(u), history)


def loss_aware(
    u: Uniforms, history: History, *, kept: int = 10, floor: float = 0.001
) -> SampledTimes:
    """Each time in proportion to the root of its mean squared loss, `kept` of them (Nichol & Dhariwal 2021, eq. 18).

    floor: the share that is drawn evenly. Until every time has its losses all are.
    """
    if not (1 <= kept <= 1000 and 0 < floor <= 1):
        raise ValueError(
            f"train_times.kept must be 1 to 1,000 and train_times.floor in (0, 1], but they are {kept} and {floor}"
        )
    root = history.losses.square().mean(1).sqrt()
    if history.counts.min() < kept or root.sum() == 0:
        return uniform(u, history)
    share = (1 - floor) * root / root.sum() + floor / len(root)
    place = torch.searchsorted(share.cumsum(0), u, right=True).clamp(max=len(root) - 1)
    return 1 + place, 1 / (len(root) * share[place])


def lognormal(
    u: Uniforms, history: History, *, mean: float = -1.2, std: float = 1.2
) -> SampledTimes:
    """The logarithm of the noise level sigma / alpha, which is -1/2 log SNR, is normal (Karras et al. 2022, table 1)."""
    return nearest_times(history.diffusion, -2 * (mean + check_std(std) * torch.special.ndtri(u)))


def logit_normal(
    u: Uniforms, history: History, *, mean: float = 0.0, std: float = 1.0
) -> SampledTimes:
    """Where log SNR lies on the way from its highest to its lowest is logit-normal.

    The density of Esser et al. (2024, eq. 19), which is over rectified flow's t there: that sampler is `lognormal` with their mean and std.
    """
    log_snr = history.diffusion.log_snr(torch.arange(1, history.diffusion.steps + 1))
    high, low = log_snr[0], log_snr[log_snr.isfinite()][-1]
    return nearest_times(
        history.diffusion,
        high + (low - high) * torch.sigmoid(mean + check_std(std) * torch.special.ndtri(u)),
    )


def nearest_times(diffusion: GaussianDiffusion, log_snr: Coefficient) -> SampledTimes:
    """The integer times next to these levels."""
    return diffusion.time_of(log_snr).round().long(), 1.0


def check_std(std: float) -> float:
    """A standard deviation, if it is one."""
    if std <= 0:
        raise ValueError(f"train_times.std must be positive, but is {std}")
    return std
