"""How far two programs are apart that run the same weights on the same inputs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch

from ddpm_cli.console import fact
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.samplers import clip_x0
from ddpm_cli.shapes import Images, Labels

Network: TypeAlias = Callable[[Images, int, Labels | None], Images]
Step: TypeAlias = Callable[[Images, int, Images], tuple[Images, Images]]

LIMIT = 1e-4  # of each difference
COUNT = 2  # images


@dataclass(frozen=True)
class OtherModel:
    """The same model in another program, whose times are 0 to T - 1.

    program: its name. output: of the network. step: mean and standard deviation of a step to the
    next time, from the network's output, the time and x_t, with x_0 within [-1, 1].
    """

    program: str
    output: Network
    step: Step | None = None


@torch.no_grad()
def prove(denoiser: Denoiser, other: OtherModel, shape: Sequence[int], classes: int) -> None:
    """Log the largest differences at the first time, in the middle and at the last.

    Raises ValueError if one is above 1e-4.
    """
    steps = denoiser.diffusion.steps
    times = sorted({0, steps // 2, steps - 1})
    largest = {"output": 0.0} | dict.fromkeys(("mean", "deviation") if other.step else (), 0.0)
    for t in times:
        for name, apart in differences(denoiser, other, shape, classes, t).items():
            largest[name] = max(largest[name], apart)
    numbers = ", ".join(f"{name} {apart:.1e}" for name, apart in largest.items())
    at = f"t = {', '.join(map(str, times))}"
    fact("proof", f"largest differences to {other.program} at {at}: {numbers}")
    if not all(apart <= LIMIT for apart in largest.values()):  # NaN is above the limit
        rule = f"the network must compute what {other.program} computes, to {LIMIT:.0e}"
        raise ValueError(f"{rule}, but the largest differences are: {numbers}")


def differences(
    denoiser: Denoiser, other: OtherModel, shape: Sequence[int], classes: int, t: int
) -> dict[str, float]:
    """The largest differences at their time t, which is our t + 1."""
    x = torch.sin(torch.arange(COUNT * torch.Size(shape).numel())).reshape(COUNT, *shape)
    labels = torch.tensor([0, classes - 1]) if denoiser.conditional else None
    estimate = clip_x0(denoiser)(x, t + 1, labels)
    theirs, ours = other.output(x, t, labels), estimate.output
    if not isinstance(estimate.variance_interpolation, float):
        ours = torch.cat([ours, 2 * estimate.variance_interpolation - 1], dim=1)
    apart = {"output": largest_of(ours - theirs)}
    if other.step is not None:
        process = denoiser.diffusion
        mean, deviation = other.step(theirs, t, x)
        apart["mean"] = largest_of(mean - process.posterior_mean(estimate.x0, x, t + 1, t))
        variance = process.log_variance(t + 1, t, estimate.variance_interpolation, x)
        of_step = (0.5 * variance).exp() if t else torch.zeros(())  # the last step adds no noise
        apart["deviation"] = largest_of(deviation - of_step)
    return apart


def largest_of(images: Images) -> float:
    """The largest absolute value."""
    return float(images.abs().max())
