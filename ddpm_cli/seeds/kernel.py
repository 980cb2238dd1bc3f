"""The uniform numbers of keyed noise by one launch. Only CUDA imports this file."""

from subprocess import SubprocessError

import torch
import triton
import triton.language as tl
from triton.errors import TritonError

from ddpm_cli.seeds import philox as formulas
from ddpm_cli.shapes import Halves, Indices, Number

FAILURES = (OSError, RuntimeError, SubprocessError, TritonError)  # errors of a compiler
UNIT, FULL_TURN = tl.constexpr(formulas.UNIT), tl.constexpr(formulas.FULL_TURN)
AT_ONCE = 256  # number of blocks, of four words each, in one program
words = triton.jit(formulas.philox)


@triton.jit(  # type: ignore[untyped-decorator]
    do_not_specialize=["images", "step", "tag", "low", "high", "blocks", "total"]
)
def fill(
    u: tl.tensor,
    angle: tl.tensor,
    images: tl.tensor,
    step: tl.tensor,
    tag: tl.tensor,
    low: tl.tensor,
    high: tl.tensor,
    blocks: tl.tensor,
    total: tl.tensor,
    size: tl.constexpr,
) -> None:
    """Write the pairs of each block; `step` and `images` are read on the device."""
    place = tl.program_id(0).to(tl.int64) * size + tl.arange(0, size)
    inside, zero = place < total, place * 0
    image = tl.load(images + place // blocks, mask=inside, other=0)
    low, high = low.to(tl.int64), high.to(tl.int64)
    counter = place % blocks, tl.load(step) + zero, image, tag + zero
    first, second, third, fourth = words(*counter, low, high)
    even, odd = 2 * place, 2 * place + 1
    tl.store(u + even, (first + 1).to(tl.float32) * UNIT, mask=inside)
    tl.store(u + odd, (third + 1).to(tl.float32) * UNIT, mask=inside)
    tl.store(angle + even, second.to(tl.float32) * FULL_TURN, mask=inside)
    tl.store(angle + odd, fourth.to(tl.float32) * FULL_TURN, mask=inside)


def uniforms_by_kernel(
    images: Indices, step: int | Number, tag: int, key: tuple[int, int], blocks: int
) -> tuple[Halves, Halves]:
    """`uniforms` on CUDA: u in (0, 1] and angles in [0, 2 pi], two of each a block."""
    total = len(images) * blocks
    u, angle = torch.empty(2, len(images), 2 * blocks, device=images.device)
    step = images.new_full((), step) if isinstance(step, int) else step
    with torch.cuda.device_of(images):  # type: ignore[no-untyped-call]
        fill[(triton.cdiv(total, AT_ONCE),)](
            *(u, angle, images.contiguous(), step, tag, *key, blocks, total), size=AT_ONCE
        )
    return u, angle
