"""Check of the loss: a network that knows the noise must have no loss."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from ddpm_cli.denoiser import Denoiser
from ddpm_cli.images import Batch
from ddpm_cli.losses import Loss, Noised
from ddpm_cli.preflight.finding import Finding
from ddpm_cli.shapes import Images, Labels, Maps, NetworkTimes, Times
from ddpm_cli.training import noise_batch

EXACT = 1e-6  # a smaller loss counts as zero


class Oracle(nn.Module):
    """A network that returns a given output."""

    def __init__(self, output: Maps) -> None:
        super().__init__()
        self.output = output

    def forward(self, x: Images, t: NetworkTimes, label: Labels | None = None) -> Maps:
        return self.output


def check_oracle(
    denoiser: Denoiser, loss: Loss, batch: Batch, seed: int, **noise: Any
) -> Iterator[Finding]:
    """Check that knowledge of the noise gives no loss, and that an error at t = T gives a loss.

    noise: options of `noise_batch`. The variational bound of such a network is zero only for
    t > 1, since the decoder acts at t = 1, and only with the smallest variance.
    """
    noised = noise_batch(denoiser, batch, seed, 0, torch.device("cpu"), **noise)
    times = torch.as_tensor(noised.t).clamp(min=2)
    worst = loss(*oracle_and_batch(denoiser, noised, times)).abs().max().item()
    if worst < EXACT:
        yield Finding("ok", "a network that knows the noise has no loss")
    else:
        fault = f"a network that knows the noise has a loss of {worst:.2g}, not 0"
        text = f"{fault}: loss and parameterisation disagree"
        yield Finding("warning" if math.isfinite(worst) else "error", text)
    last = torch.full_like(times, denoiser.diffusion.steps)
    if (loss(*oracle_and_batch(denoiser, noised, last, error=1.0)) == 0).all():
        fault = "the loss gives no weight to the last time, from which sampling starts"
        remedy = "choose another loss, or schedule.zero_snr=false"
        yield Finding("warning", f"{fault}: {remedy}")


def oracle_and_batch(
    denoiser: Denoiser, noised: Noised, t: Times, error: float = 0.0
) -> tuple[Denoiser, Noised]:
    """A denoiser that knows the noise at times t up to an error, and the batch of these times."""
    x0, eps = noised.x0.double(), noised.eps.double()
    x_t = denoiser.diffusion.add_noise(x0, eps, t)
    batch = Noised(x0, eps, x_t, t, noised.label, perturbed=noised.perturbed)
    output = denoiser.target(x0, eps, t) + error
    if denoiser.variance != "learned":
        return replace(denoiser, network=Oracle(output), variance="small"), batch
    output = torch.cat([output, -torch.ones_like(output)], dim=1)
    return replace(denoiser, network=Oracle(output)), batch
