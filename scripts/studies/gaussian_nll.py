#!/usr/bin/env python
"""Print bits per dimension of Gaussian images by bound and probability flow, over their entropy.

The images are 8-bit rows of 16 pixels, neighbours correlated by a half. The denoiser is optimal;
its reverse variance at each pixel is that of the process of these data (the limit of a learned
variance) or a fixed one.
"""

import argparse
import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from ddpm_cli import schedules
from ddpm_cli.denoiser import VARIANCE_INTERPOLATIONS, Estimate
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.evaluation.bits_per_dim import (
    bound_terms,
    even_levels,
    flow_bits,
    noise_at_times,
    prior_bits,
)
from ddpm_cli.images import to_bytes, to_float
from ddpm_cli.losses import normal_cdf
from ddpm_cli.samplers import Denoise
from ddpm_cli.shapes import Images, PerImage

PIXELS, STD, CORRELATION = 16, 0.25, 0.5
PLACES = torch.arange(PIXELS, dtype=torch.float64)
COVARIANCE = STD**2 * CORRELATION ** (PLACES[:, None] - PLACES).abs()
SCHEDULES: Mapping[str, Callable[..., Tensor]] = {
    "linear": schedules.linear,
    "cosine": schedules.cosine,
}


def entropy() -> float:
    """The entropy of the bytes, bits per dimension: that of the density for bins of 1 / 127.5."""
    volume = torch.logdet(COVARIANCE).item() / PIXELS
    return 0.5 * (math.log(2 * math.pi * math.e) + volume) / math.log(2) + math.log2(127.5)


def draw_images(count: int, seed: int) -> Images:
    """Draw the images."""
    noise = torch.randn(
        count, PIXELS, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    return to_float(
        to_bytes((noise @ torch.linalg.cholesky(COVARIANCE).T).view(-1, 1, 1, PIXELS))
    ).double()


def oracle(diffusion: GaussianDiffusion, between: float | None) -> Denoise:
    """The optimal denoiser of data N(0, COVARIANCE), its variance fixed or the process's own."""

    def denoise(x: Images, t: float) -> Estimate:
        alpha_bar, s = diffusion.alpha_bar_at(t), math.ceil(t) - 1
        gain = (
            alpha_bar.sqrt()
            * COVARIANCE
            @ torch.linalg.inv(alpha_bar * COVARIANCE + (1 - alpha_bar) * torch.eye(PIXELS))
        )
        unsure = (COVARIANCE - alpha_bar.sqrt() * gain @ COVARIANCE).diag()
        step = (
            diffusion.posterior_variance(t, s)
            + unsure * diffusion.alpha_bar_at(s) * (diffusion.variance(t, s) / (1 - alpha_bar)) ** 2
        )
        ends = torch.zeros_like(x), torch.ones_like(x)
        small, large = (diffusion.log_variance(t, s, end, x) for end in ends)
        own = (step.log() - small) / (large - small)
        return Estimate(x, (x.flatten(1) @ gain.T).view_as(x), own if between is None else between)

    return denoise


def by_bound(diffusion: GaussianDiffusion, x0: Images, between: float | None) -> PerImage:
    """Bits per dimension of every image by the bound."""
    noise = noise_at_times(x0, 0, range(len(x0)), diffusion.steps)
    found = bound_terms(oracle(diffusion, between), diffusion, x0, noise, normal_cdf)
    return prior_bits(diffusion, x0) + torch.stack([bits for _, bits, _ in found]).sum(0)


def by_flow(diffusion: GaussianDiffusion, x0: Images, steps: int) -> PerImage:
    """Bits per dimension of every image by the flow."""
    noise = noise_at_times(x0, 0, range(len(x0)), 1)
    *_, bits = flow_bits(
        oracle(diffusion, None), diffusion, x0, noise, normal_cdf, even_levels(diffusion, steps)
    )
    return bits


def tell(name: str, bits: PerImage) -> None:
    """Print the mean, its 95% interval and the ratio."""
    mean, half = float(bits.mean()), 1.96 * float(bits.std()) / math.sqrt(len(bits))
    print(f"{name:42} {mean:.4f} +- {half:.4f}   {mean / entropy():.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--n", type=int, default=512, help="images (default: 512)")
    parser.add_argument("--steps", type=int, default=100, help="of the flow (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="of the images (default: 0)")
    options = parser.parse_args()
    x0 = draw_images(options.n, options.seed)
    print(f"{'entropy':42} {entropy():.4f}            1")
    for name, betas in SCHEDULES.items():
        diffusion = GaussianDiffusion.from_betas(betas())
        for kind, between in {"own": None, **VARIANCE_INTERPOLATIONS}.items():
            tell(f"{name}, bound, {kind} variance", by_bound(diffusion, x0, between))
        tell(f"{name}, flow, {options.steps} steps", by_flow(diffusion, x0, options.steps))
