"""A network that knows the answer has no loss."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import nn

from ddpm_cli.denoiser import Denoiser
from ddpm_cli.loading import Batch
from ddpm_cli.losses import Loss, Noised
from ddpm_cli.preflight.finding import Finding
from ddpm_cli.preflight.learning import EXACT
from ddpm_cli.shapes import Images, Labels, Maps, NetworkTimes, Times
from ddpm_cli.training import noise_batch


class Oracle(nn.Module):
    """A network that knows the answer."""

    def __init__(self, answer: Maps) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, x: Images, t: NetworkTimes, label: Labels | None = None) -> Maps:
        return self.answer


def check_oracle(
    denoiser: Denoiser, loss: Loss, batch: Batch, seed: int, **noise: Any
) -> Iterator[Finding]:
    """Whether a network that knows the noise has no loss, as it must, and one that errs at the last time has some.

    `noise` are options of `noised`. Of the bound the first is so but at t = 1, which is its decoder's, and with the smallest variance.
    """
    found = noise_batch(denoiser, batch, seed, 0, torch.device("cpu"), **noise)
    times = torch.as_tensor(found.t).clamp(min=2)
    worst = loss(*denoiser_that_knows(denoiser, found, times)).abs().max().item()
    if worst < EXACT:
        yield Finding("ok", "a network that knows the noise has no loss")
    else:
        level: Literal["warning", "error"] = "warning" if math.isfinite(worst) else "error"
        yield Finding(
            level,
            f"a network that knows the noise has a loss of {worst:.2g}, not 0: loss and parameterisation disagree",
        )
    if (
        loss(
            *denoiser_that_knows(
                denoiser, found, torch.full_like(times, denoiser.diffusion.steps), error=1.0
            )
        )
        == 0
    ).all():
        remedy = "choose another loss, or schedule.zero_snr=false"
        yield Finding(
            "warning",
            f"the loss gives no weight to the last time, from which sampling starts: {remedy}",
        )


def denoiser_that_knows(
    denoiser: Denoiser, found: Noised, t: Times, error: float = 0.0
) -> tuple[Denoiser, Noised]:
    """A network that knows the noise of these images at other times, or errs by so much, and the batch."""
    batch = replace(
        Noised.at(denoiser.diffusion, found.x0.double(), found.eps.double(), t, found.label),
        perturbed=found.perturbed,
    )
    target = denoiser.target(batch.x0, batch.eps, t) + error
    learned = denoiser.variance == "learned"
    answer = torch.cat([target, -torch.ones_like(target)], dim=1) if learned else target
    return replace(
        denoiser, network=Oracle(answer), variance="learned" if learned else "small"
    ), batch
