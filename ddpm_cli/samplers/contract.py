"""The contract of samplers.

A sampler is a generator (denoise, diffusion, x, times, noise, *, options) -> images after every
step. `times` fall strictly from the time of `x` to 0. `noise(x)` is standard normal noise shaped
as `x`.
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias

from ddpm_cli.denoiser import Estimate
from ddpm_cli.shapes import Images

Denoise: TypeAlias = Callable[..., Estimate]
Noise: TypeAlias = Callable[[Images], Images]
Sampler: TypeAlias = Callable[..., Iterator[Images]]
