"""The images of one setting, batch by batch, and the network evaluations that they cost."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from torch import nn

from ddpm_cli.denoiser import Estimate
from ddpm_cli.generation.generator import Generator
from ddpm_cli.images import to_bytes
from ddpm_cli.samplers import Denoise
from ddpm_cli.shapes import Bytes, Images, Labels, Time


@contextmanager
def count_batches(network: nn.Module) -> Iterator[list[int]]:
    """A list that grows by the size of every batch that goes through a network in the context."""
    sizes: list[int] = []
    hook = network.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    try:
        yield sizes
    finally:
        hook.remove()


def count_calls(guide: Denoise, sizes: list[int]) -> Denoise:
    """A guide that adds the size of every batch to a list."""

    def count_call(x_t: Images, t: Time, *label: Labels | None) -> Estimate:
        sizes.append(len(x_t))
        return guide(x_t, t, *label)

    return count_call


def draw_batches(
    generator: Generator, indices: Sequence[int], batch_size: int, advance: Callable[[int], object]
) -> Iterator[Bytes]:
    """Draw images, and yield them batch by batch; `advance` counts the steps."""
    for first in range(0, len(indices), batch_size):
        states = generator.trajectory(indices[first : first + batch_size])
        for place, images in enumerate(states):
            advance(place > 0)
        yield to_bytes(images).cpu()
