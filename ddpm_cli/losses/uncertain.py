"""A loss with learned weights of the times: the uncertainty of each time."""

import math

import torch
from torch import Tensor, nn

from ddpm_cli.denoiser import Denoiser
from ddpm_cli.hardware import to_device
from ddpm_cli.losses.batch import Loss, Noised
from ddpm_cli.shapes import PerImage


class Uncertain(nn.Module):
    """Another loss L, trained as L / e^u(t) + u(t), which balances the times.

    EDM2 (Karras et al. 2024b), eq. 21. u is a sum of `waves` cosines over t / T, starts at 0, and
    trains with the network. The value is L itself, comparable with other runs; the gradient is
    the weighted loss's.
    """

    def __init__(self, of: Loss, *, waves: int = 32) -> None:
        super().__init__()
        if not 1 <= waves <= 1000:
            raise ValueError(f"loss.waves must be 1 to 1,000, but is {waves}")
        self.of = of
        self.u = nn.Parameter(torch.zeros(waves))

    def forward(self, denoiser: Denoiser, batch: Noised) -> PerImage:
        loss = self.of(denoiser, batch)
        u = self.log_spread(torch.as_tensor(batch.t), denoiser.diffusion.steps).to(loss)
        weighted = loss * (-u).exp() + u
        return loss.detach() + (weighted - weighted.detach())

    def log_spread(self, t: Tensor, steps: int) -> PerImage:
        """u(t)."""
        phases = math.pi / steps * torch.arange(len(self.u), device=t.device) * t[:, None]
        return to_device(phases.cos().float(), self.u.device) @ self.u
