"""Samplers of the times that training learns at: functions (u, history) -> times and weights.

u holds keyed uniforms in [0, 1), one for each image of the global batch. The weighted mean over
sampled times equals the mean over uniform times. If the weight is 1, the choice of times is part of
the objective. A sampler with the option `kept` uses the last `kept` losses of each time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.hardware import AsyncScalar, to_device
from ddpm_cli.parallel import ProcessGroup
from ddpm_cli.shapes import Coefficient, Counts, Kept, PerImage, Times, Uniforms, tensor_kinds

SampledTimes: TypeAlias = tuple[Times, Coefficient | float]
TimeSampler: TypeAlias = Callable[..., SampledTimes]


@dataclass
class History:
    """The last `kept` losses of each time of a diffusion process, and each time's count of losses.

    pending: times and losses of the last step, which are added a step late, so that no step waits
    for the device.
    """

    diffusion: GaussianDiffusion
    kept: int = 0
    losses: Kept = field(init=False)
    counts: Counts = field(init=False)
    pending: tuple[list[int], AsyncScalar] | None = None

    def __post_init__(self) -> None:
        self.losses = torch.zeros(self.diffusion.steps, self.kept, dtype=torch.float64)
        self.counts = torch.zeros(self.diffusion.steps, dtype=torch.int64)

    def add(self, times: list[int], losses: list[float]) -> None:
        """Replace the oldest loss of each time; ignore a loss that is not finite."""
        table, counts = self.losses.numpy(), self.counts.numpy()  # the same memory, read faster
        for t, loss in zip(times, losses, strict=True):
            if abs(loss) < torch.inf:
                table[t - 1, counts[t - 1] % self.kept] = loss
                counts[t - 1] += 1

    def follow(
        self, times: Times, first: int, losses: PerImage, weights: PerImage, group: ProcessGroup
    ) -> None:
        """Add the losses of the previous step, and begin to gather the losses of this step.

        times: times of the global batch. losses: weighted losses of this process's images, from
        `first` on. weights: their weights, on the CPU.
        """
        if not self.kept:
            return
        if self.pending:
            self.add(self.pending[0], self.pending[1].read())
        gathered = losses.new_zeros(len(times))
        gathered[first : first + len(losses)] = losses / to_device(weights, losses.device)
        self.pending = times.tolist(), AsyncScalar(group.sum(gathered))

    def state_dict(self) -> dict[str, Tensor]:
        """The losses in the form of a checkpoint; {} if the sampler uses no losses."""
        if not self.kept:
            return {}
        times, last = (self.pending[0], self.pending[1].read()) if self.pending else ([], [])
        return {
            "losses": self.losses.clone(),
            "counts": self.counts.clone(),
            "times": torch.tensor(times, dtype=torch.int64),
            "last": torch.tensor(last, dtype=torch.float64),
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore a `state_dict`. Raises ValueError if its sampler or diffusion process differs."""
        mine = self.state_dict()
        if tensor_kinds(state) != tensor_kinds(mine) or any(
            state[name].shape != mine[name].shape for name in mine.keys() & {"losses", "counts"}
        ):
            raise ValueError("the checkpoint's history of losses is not of this sampler of times")
        if not mine:
            return
        times, counts = state["times"], state["counts"]
        possible = (times >= 1).all() and (times <= len(counts)).all()
        possible = possible and (counts >= 0).all() and (counts < 2**40).all()
        if times.shape != state["last"].shape or not possible:
            raise ValueError(
                "the checkpoint's history of losses has times or counts "
                "that are none of this schedule"
            )
        self.losses.copy_(state["losses"])
        self.counts.copy_(counts)
        self.pending = (times.tolist(), AsyncScalar(state["last"])) if len(times) else None


def uniform(u: Uniforms, history: History) -> SampledTimes:
    """Every time is equally likely (Ho et al. 2020)."""
    steps = history.diffusion.steps
    return (1 + (u * steps).long()).clamp(max=steps), 1.0  # u of `stratified` may round up to 1


def stratified(u: Uniforms, history: History) -> SampledTimes:
    """Every time is equally likely, one in each of as many equal parts as images.

    Gradients vary less. Kingma et al. (2021) draw one number for all parts; here each part draws.
    """
    return uniform((torch.arange(len(u)) + u) / len(u), history)


def loss_aware(
    u: Uniforms, history: History, *, kept: int = 10, floor: float = 0.001
) -> SampledTimes:
    """Each time has a probability in proportion to the root mean square of its `kept` losses.

    Nichol & Dhariwal (2021, eq. 18). floor: the share of uniform times. All times are uniform until
    each has `kept` losses.
    """
    if not (1 <= kept <= 1000 and 0 < floor <= 1):
        raise ValueError(
            "train_times.kept must be 1 to 1,000 and train_times.floor in (0, 1], "
            f"but they are {kept} and {floor}"
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
    """The logarithm of the noise level sigma / alpha is normal (Karras et al. 2022, table 1).

    This logarithm is -1/2 log SNR.
    """
    return nearest_times(history.diffusion, -2 * (mean + check_std(std) * torch.special.ndtri(u)))


def logit_normal(
    u: Uniforms, history: History, *, mean: float = 0.0, std: float = 1.0
) -> SampledTimes:
    """The position of log SNR on the way from its highest to its lowest is logit-normal.

    The density of Esser et al. (2024, eq. 19). There it is over rectified flow's t: that sampler is
    `lognormal` with their mean and std.
    """
    log_snr = history.diffusion.log_snr(torch.arange(1, history.diffusion.steps + 1))
    high, low = log_snr[0], log_snr[log_snr.isfinite()][-1]
    return nearest_times(
        history.diffusion,
        high + (low - high) * torch.sigmoid(mean + check_std(std) * torch.special.ndtri(u)),
    )


def nearest_times(diffusion: GaussianDiffusion, log_snr: Coefficient) -> SampledTimes:
    """The integer times that are nearest to these values of log SNR."""
    return diffusion.time_of(log_snr).round().long(), 1.0


def check_std(std: float) -> float:
    """The standard deviation. Raises ValueError if it is not positive."""
    if std <= 0:
        raise ValueError(f"train_times.std must be positive, but is {std}")
    return std
