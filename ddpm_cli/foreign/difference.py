"""How far two programs are apart that run the same weights on the same inputs."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TypeAlias

import torch
from torch import nn

from ddpm_cli.console import fact
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.samplers import clip_x0
from ddpm_cli.shapes import Fitted, Images, Labels, NetworkTimes

Network: TypeAlias = Callable[[Images, int, Labels | None], Images]
Step: TypeAlias = Callable[[Images, int, Images], tuple[Images, Images]]

LIMIT = 1e-4  # of each difference
COUNT = 2  # images
LONGEST_REASON = 200  # characters


@dataclass(frozen=True)
class OtherModel:
    """The same model in another program, whose times are 0 to T - 1.

    program: its name. output: of the network. step: mean and standard deviation of a step to the
    next time, from the network's output, the time and x_t, with x_0 within [-1, 1].
    """

    program: str
    output: Network
    step: Step | None = None


def import_package(name: str, module: str = "") -> ModuleType | str:
    """A module of a package, or the package itself; or why there is none, in words."""
    if find_spec(name) is None:
        return f"{name} is not installed"
    try:
        return import_module(f"{name}.{module}" if module else name)
    except (ImportError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:LONGEST_REASON]
        return f"{name} cannot be imported ({reason})"


class FixedOutput(nn.Module):
    """A network with one output, so that what follows from equal outputs can be compared."""

    def __init__(self, output: Images) -> None:
        super().__init__()
        self.output = output

    def forward(self, x: Images, t: NetworkTimes, label: Labels | None = None) -> Images:
        return self.output


@torch.no_grad()
def prove(denoiser: Denoiser, other: OtherModel, shape: Sequence[int], classes: int) -> None:
    """Log the largest differences at the first time, in the middle and at the last.

    Raises ValueError if one is above 1e-4.
    """
    steps = denoiser.diffusion.steps
    times = sorted({0, steps // 2, steps - 1})
    apart = [differences(denoiser, other, shape, classes, t) for t in times]
    largest = {name: max(each[name] for each in apart) for name in apart[0]}
    numbers = ", ".join(f"{name} {number:.1e}" for name, number in largest.items())
    at = f"t = {', '.join(map(str, times))}"
    fact("proof", f"largest differences to {other.program} at {at}: {numbers}")
    if not all(each[name] <= LIMIT for each in apart for name in each):  # NaN is above the limit
        rule = f"the network must compute what {other.program} computes, to {LIMIT:.0e}"
        raise ValueError(f"{rule}, but the largest differences are: {numbers}")


def differences(
    denoiser: Denoiser, other: OtherModel, shape: Sequence[int], classes: int, t: int
) -> dict[str, float]:
    """The largest differences at their time t, which is our t + 1."""
    x = torch.sin(torch.arange(float(COUNT * math.prod(shape)))).reshape(COUNT, *shape)
    labels = torch.tensor([0, classes - 1]) if denoiser.conditional else None
    theirs, estimate = other.output(x, t, labels), denoiser(x, t + 1, labels)
    ours, interpolation = estimate.output, estimate.variance_interpolation
    if not isinstance(interpolation, float):
        ours = torch.cat([ours, 2 * interpolation - 1], dim=1)
    apart = {"output": largest_of(ours - theirs)}
    if other.step is not None:
        mean, deviation = other.step(theirs, t, x)
        own_mean, own_deviation = step_from(denoiser, theirs, x, t + 1)
        apart["mean"] = largest_of(mean - own_mean)
        apart["deviation"] = largest_of(deviation - own_deviation)
    return apart


def step_from(denoiser: Denoiser, output: Images, x: Images, t: int) -> tuple[Images, Fitted]:
    """Our mean and deviation of the step to t - 1 from an output, with x_0 within [-1, 1].

    A network's own rounding would be divided by alpha_t, which is small at the last time.
    """
    fixed = replace(denoiser, network=FixedOutput(output), conditional=False)
    estimate, process = clip_x0(fixed)(x, t), denoiser.diffusion
    mean = process.posterior_mean(estimate.x0, x, t, t - 1)
    log_variance = process.log_variance(t, t - 1, estimate.variance_interpolation, x)
    return mean, (0.5 * log_variance).exp() * (t > 1)  # the last step adds no noise


def largest_of(images: Images) -> float:
    """The largest absolute value."""
    return float(images.abs().max())
