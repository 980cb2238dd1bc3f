"""What samplers are made of: a denoiser as they see it, and noise like an image.

A sampler is a generator (denoise, diffusion, x, times, noise, *, options) -> images after every step. `times` fall strictly,
from that of `x` to 0; `noise` draws standard normal noise of the shape it is given.
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias

from ddpm_cli.denoiser import Estimate
from ddpm_cli.shapes import Images

Denoise: TypeAlias = Callable[..., Estimate]
Noise: TypeAlias = Callable[[Images], Images]
Sampler: TypeAlias = Callable[..., Iterator[Images]]
