"""Samplers, generators of images over one contract; grids of times; wrappers of a denoiser."""

from ddpm_cli.samplers.ancestral import ancestral
from ddpm_cli.samplers.contract import Denoise, Noise, Sampler, final_state
from ddpm_cli.samplers.ddim import ddim, inverse
from ddpm_cli.samplers.dpmpp_2m import dpmpp_2m
from ddpm_cli.samplers.grids import Grid
from ddpm_cli.samplers.heun import heun
from ddpm_cli.samplers.unipc import unipc
from ddpm_cli.samplers.wrappers import at_levels_of, clip_x0, threshold_x0, with_label
