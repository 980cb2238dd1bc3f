"""What a network's output means: outside this file nobody sees a raw network.

A network predicts a x_0 + b eps. The pair (a, b) is all that tells eps, x0 and v apart.
"""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Literal, TypeAlias

import torch
from torch import nn

from ddpm_cli.diffusion import GaussianDiffusion, to_device_of
from ddpm_cli.shapes import Fitted, Images, Labels, Time

Row: TypeAlias = tuple[float | Fitted, float | Fitted]

PARAMETERISATIONS: dict[str, Callable[[Fitted, Fitted], Row]] = {
    "eps": lambda alpha, sigma: (0.0, 1.0),
    "x0": lambda alpha, sigma: (1.0, 0.0),
    "v": lambda alpha, sigma: (-sigma, alpha),  # Salimans & Ho 2022
}
BETWEEN: dict[str, float] = {"small": 0.0, "large": 1.0}


@dataclass(frozen=True)
class Estimate:
    """The network's output, the x_0 it implies, and where its reverse variance lies between beta-tilde and beta."""

    output: Images
    x0: Images
    variance_interpolation: float | Images


@dataclass(frozen=True)
class Denoiser:
    """denoise(x_t, t, label) -> Estimate, from any module with `forward(x, t, label=None)`.

    predicts: what the output is, v being alpha eps - sigma x_0.
    variance: of the reverse step; `learned` is Nichol & Dhariwal's (2021, eq. 15), from a second half of the output's channels.
    conditional: whether the network takes labels.
    """

    diffusion: GaussianDiffusion
    network: nn.Module
    _: KW_ONLY
    predicts: Literal["eps", "x0", "v"] = "eps"
    variance: Literal["small", "large", "learned"] = "small"
    conditional: bool = False

    def __post_init__(self) -> None:
        if self.predicts == "eps" and self.diffusion.alpha_bar[-1] == 0:
            raise ValueError(
                "predicts=eps says nothing of x_0 where the SNR is 0 (the last beta is 1); use v or x0"
            )

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    def __call__(self, x_t: Images, t: Time, label: Labels | None = None) -> Estimate:
        """Estimates x_0 [B, C, H, W] from x_t; `t` is a number or a CPU vector [B], `label` int64 [B] with -1 for none.

        The network is fed t - 1 unrounded, 0..T-1, as public checkpoints expect. ValueError for a label where it takes none.
        """
        if label is not None and not self.conditional:
            raise ValueError(
                "this model takes no labels: it was built with model.conditional=false"
            )
        time = to_device_of(torch.as_tensor(t, dtype=torch.float32) - 1, x_t).expand(len(x_t))
        output = self.network(x_t, time, label).to(x_t.dtype)
        spread = BETWEEN.get(self.variance)
        if spread is None:
            output, learned = output.chunk(2, dim=1)
        alpha, sigma, a, b = self.row(t, x_t)
        x0 = (b * x_t - sigma * output) / (b * alpha - a * sigma)
        return Estimate(output, x0, (learned + 1) / 2 if spread is None else spread)

    def target(self, x0: Images, eps: Images, t: Time) -> Images:
        """What the network should answer: a x_0 + b eps."""
        _, _, a, b = self.row(t, x0)
        return a * x0 + b * eps

    def error_scale(self, t: Time, like: Images) -> Fitted:
        """The error in x_0 per error in the output: its square turns a weight on x_0 into one on the output."""
        alpha, sigma, a, b = self.row(t, like)
        return sigma / (b * alpha - a * sigma)

    def row(self, t: Time, like: Images) -> tuple[Fitted, Fitted, float | Fitted, float | Fitted]:
        """alpha, sigma, and the (a, b) of the parameterisation."""
        alpha, sigma = self.diffusion.scales(t, like)
        return alpha, sigma, *PARAMETERISATIONS[self.predicts](alpha, sigma)
