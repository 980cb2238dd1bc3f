"""Standard normal noise, equal on every device: Philox from a counter, then Box-Muller."""

import logging
import math
from collections.abc import Callable, Sequence
from functools import cache

import torch

from ddpm_cli.seeds.philox import FULL_TURN, UNIT, philox
from ddpm_cli.seeds.purpose import Purpose, key_of, tag_of
from ddpm_cli.shapes import Halves, Images, Indices, Number

log = logging.getLogger(__name__)


def keyed_normal(
    like: Images,
    seed: int,
    purpose: Purpose,
    step: int | Number,
    images: Indices | Sequence[int],
    sub: int = 0,
) -> Images:
    """Standard normal noise shaped as `like`, a function of the key and of each image's number.

    like: [B, ...], of any float type. step: a number, or a tensor on the device of `like`, which is
    not read back. images: the number of each image, on the same device. Element e of an image comes
    from block e // 4. It depends on no other image, so that any batch gives the same noise.
    Raises ValueError for a seed that 64 bits cannot hold.
    """
    numbers = torch.as_tensor(images, dtype=torch.int64, device=like.device)
    size = math.prod(like.shape[1:])
    source = fastest_uniforms(like.device) if like.is_cuda else uniforms
    u, angle = source(numbers, step, tag_of(purpose, sub), key_of(seed), -(-size // 4))
    radius = (u.log() * -2).sqrt()  # Box & Muller 1958
    normal = torch.stack([angle.cos(), angle.sin()], dim=-1) * radius[..., None]
    flat = normal.flatten(1)[:, :size].to(like.dtype).contiguous()
    return flat.view(like.shape)


def uniforms(
    images: Indices, step: int | Number, tag: int, key: tuple[int, int], blocks: int
) -> tuple[Halves, Halves]:
    """u in (0, 1] and angles in [0, 2 pi], two of each a block, rounded as any device rounds."""
    block = torch.arange(blocks, device=images.device)
    first, second, third, fourth = philox(block, step, images[:, None], tag, *key)
    u = (torch.stack([first, third], dim=-1) + 1).float() * UNIT
    return u.flatten(1), (torch.stack([second, fourth], dim=-1).float() * FULL_TURN).flatten(1)


@cache
def fastest_uniforms(device: torch.device) -> Callable[..., tuple[Halves, Halves]]:
    """The kernel of one launch, or `uniforms` where Triton cannot build the kernel."""
    trial = torch.zeros(1, dtype=torch.int64, device=device)
    try:
        from ddpm_cli.seeds import kernel
    except ImportError:
        return uniforms
    try:
        kernel.uniforms_by_kernel(trial, 0, 0, (0, 0), 1)
    except kernel.FAILURES as error:
        why = str(error).strip().partition("\n")[0]
        log.warning("warning: noise takes some hundred launches, as Triton has no kernel: %s", why)
        return uniforms
    return kernel.uniforms_by_kernel
