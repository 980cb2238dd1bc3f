"""The meaning of a network's output; only this file calls a raw network.

A network predicts a x_0 + b eps. Only the pair (a, b) distinguishes eps, x0 and v.
"""

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Literal, TypeAlias

import torch
from torch import nn

from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.hardware import to_device
from ddpm_cli.shapes import Fitted, Images, Labels, Time

Pair: TypeAlias = tuple[float | Fitted, float | Fitted]

PARAMETERISATIONS: dict[str, Callable[[Fitted, Fitted], Pair]] = {
    "eps": lambda alpha, sigma: (0.0, 1.0),
    "x0": lambda alpha, sigma: (1.0, 0.0),
    "v": lambda alpha, sigma: (-sigma, alpha),
}
VARIANCE_INTERPOLATIONS: dict[str, float] = {"small": 0.0, "large": 1.0}
NEEDS_LABEL = "this network knows no image without a label (model.network.null_label=false)"


@dataclass(frozen=True)
class Estimate:
    """The output, its x_0, and the reverse variance.

    variance_interpolation: 0 is beta-tilde, 1 is beta.
    """

    output: Images
    x0: Images
    variance_interpolation: float | Images


@dataclass(frozen=True)
class Denoiser:
    """denoise(x_t, t, label) -> Estimate, from any module with `forward(x, t, label=None)`.

    predicts: the meaning of the output; v is alpha eps - sigma x_0 (Salimans & Ho 2022).
    variance: of the reverse step; `learned` is the second half of the output's channels (Nichol &
    Dhariwal 2021, eq. 15). conditional: whether the network takes labels. time_scale: the factor of
    the times that the network gets, t - 1 without it.
    """

    diffusion: GaussianDiffusion
    network: nn.Module
    _: KW_ONLY
    predicts: Literal["eps", "x0", "v"] = "eps"
    variance: Literal["small", "large", "learned"] = "small"
    conditional: bool = False
    time_scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.time_scale < math.inf:
            raise ValueError(f"time_scale must be above 0 and finite, but is {self.time_scale}")
        if self.predicts == "eps" and self.diffusion.alpha_bar[-1] == 0:
            raise ValueError(
                "predicts=eps says nothing of x_0 where the SNR is 0 (the last beta is 1);"
                " use v or x0"
            )

    @property
    def device(self) -> torch.device:
        """The network's device."""
        return next(self.network.parameters()).device

    @cached_property
    def needs_label(self) -> bool:
        """Whether the network takes no image without a label, as some public checkpoints do."""
        return any(getattr(each, "needs_label", False) for each in self.network.modules())

    def __call__(self, x_t: Images, t: Time, label: Labels | None = None) -> Estimate:
        """Estimate x_0 [B, C, H, W] from x_t, with `t` a number or a CPU vector [B].

        label: int64 [B], -1 for no label. Raises ValueError if the network takes none, or no image
        without one. The network gets t - 1 unrounded, 0..T-1, as public checkpoints expect.
        """
        if label is not None and not self.conditional:
            raise ValueError(
                "this model takes no labels: it was built with model.conditional=false"
            )
        if label is None and self.conditional and self.needs_label:
            raise ValueError(NEEDS_LABEL)
        time = (torch.as_tensor(t, dtype=torch.float32) - 1) * self.time_scale
        time = to_device(time, x_t.device)
        output = self.network(x_t, time.expand(len(x_t)), label).to(x_t.dtype)
        variance: float | Images | None = VARIANCE_INTERPOLATIONS.get(self.variance)
        if variance is None:
            output, learned = output.chunk(2, dim=1)
            variance = (learned + 1) / 2
        alpha, sigma = self.diffusion.scales(t, x_t)
        a, b = PARAMETERISATIONS[self.predicts](alpha, sigma)
        x0 = (b * x_t - sigma * output) / (b * alpha - a * sigma)
        return Estimate(output, x0, variance)

    def target(self, x0: Images, eps: Images, t: Time) -> Images:
        """The output that the loss asks of the network: a x_0 + b eps."""
        a, b = PARAMETERISATIONS[self.predicts](*self.diffusion.scales(t, x0))
        return a * x0 + b * eps

    def error_scale(self, t: Time, like: Images) -> Fitted:
        """The error in x_0 per error in the output; its square converts weights of losses."""
        alpha, sigma = self.diffusion.scales(t, like)
        a, b = PARAMETERISATIONS[self.predicts](alpha, sigma)
        return sigma / (b * alpha - a * sigma)
