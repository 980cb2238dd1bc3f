"""The training loss at the times of each quarter, from clean to noise."""

from collections.abc import Sequence

import torch

from ddpm_cli.parallel import ProcessGroup
from ddpm_cli.shapes import StepLosses
from ddpm_cli.training.fit import Progress
from ddpm_cli.training.fixed_noise_losses import QUARTERS


def loss_by_quarter(
    progress: Sequence[Progress], losses: StepLosses, steps: int, group: ProcessGroup
) -> dict[str, float]:
    """The mean training loss at the times of each quarter, over the finite losses of some steps."""
    losses = losses.flatten().double()
    times = torch.cat([each.times for each in progress])
    weights = torch.cat([each.weights for each in progress]).double()
    quarters, finite = (QUARTERS * (times - 1)).long() // steps, losses.isfinite()
    sums = torch.zeros(2, QUARTERS, dtype=torch.float64)
    sums[0].index_add_(0, quarters[finite], losses[finite])
    sums[1].index_add_(0, quarters[finite], weights[finite])
    total, weight = group.sum(sums)
    return {f"loss_q{place}": loss for place, loss in enumerate((total / weight).tolist(), 1)}
