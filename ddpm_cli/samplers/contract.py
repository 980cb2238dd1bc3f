"""The contract of samplers.

A sampler is a generator (denoise, diffusion, x, times, noise, *, options) -> images after every
step. `times` fall strictly from the time of `x` to 0. `noise(x)` is standard normal noise shaped
as `x`.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import TypeAlias

from ddpm_cli.denoiser import Estimate
from ddpm_cli.shapes import Images

Denoise: TypeAlias = Callable[..., Estimate]
Noise: TypeAlias = Callable[[Images], Images]
Sampler: TypeAlias = Callable[..., Iterator[Images]]


def final_state(states: Iterator[Images]) -> Images:
    """The last of a sampler's states. `*_, x = states` would keep every state in memory."""
    return deque(states, maxlen=1)[0]
