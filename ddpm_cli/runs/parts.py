"""What training and sampling build alike: the process and the denoiser of a configuration."""

from collections.abc import Sequence

from omegaconf import DictConfig

from ddpm_cli.config import build
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.diffusion import GaussianDiffusion


def process(cfg: DictConfig) -> GaussianDiffusion:
    """The diffusion process of the schedule."""
    betas = build(cfg, "schedule")
    try:
        return GaussianDiffusion.from_betas(betas)
    except ValueError as error:
        raise ValueError(f"schedule: {error}") from error


def denoiser_of(cfg: DictConfig, diffusion: GaussianDiffusion, shape: Sequence[int]) -> Denoiser:
    """The network for images of `shape` [C, H, W], and what its output means."""
    channels = shape[0]
    outputs = 2 * channels if cfg.model.get("variance") == "learned" else channels
    return build(cfg, "model", diffusion, build(cfg, "model.network", channels, outputs, 0))
