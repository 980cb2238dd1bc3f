"""The contract of guiders.

A guider is a function (models, scale, diffusion, *, options) -> denoise. At scale 1 its estimate is
that of the stronger model; greater scales lead away from the weaker model. It is called anew for
every trajectory, so that it may remember the estimates of the trajectory, image by image.
"""

from collections.abc import Callable
from typing import TypeAlias

from ddpm_cli.samplers import Denoise

Guider: TypeAlias = Callable[..., Denoise]
