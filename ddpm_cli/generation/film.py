"""States of a sampler and its running estimates, step by step."""

from collections.abc import Sequence

from ddpm_cli.denoiser import Estimate
from ddpm_cli.generation.generator import Generator
from ddpm_cli.images import to_bytes
from ddpm_cli.samplers import Denoise
from ddpm_cli.shapes import Bytes, Images, Time

FRAMES = 50  # the most frames of a film


def collect_states(generator: Generator, indices: Sequence[int]) -> tuple[list[Bytes], list[Bytes]]:
    """Collect x_t and its estimate of x_0 before and after every step; the image ends both."""
    estimates: list[Images] = []

    def seen(denoise: Denoise) -> Denoise:
        def record(x_t: Images, t: Time) -> Estimate:
            estimate = denoise(x_t, t)
            if not estimates:  # a sampler may call more than once in a step
                estimates.append(estimate.x0)
            return estimate

        return record

    noised, estimated = [], []
    for images in generator.trajectory(indices, seen=seen):
        noised.append(to_bytes(images).cpu())
        estimated += [to_bytes(each).cpu() for each in estimates]
        estimates.clear()
    return noised, [*estimated, noised[-1]]
