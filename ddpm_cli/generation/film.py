"""States of a sampler and its running estimates, step by step."""

from collections.abc import Callable, Iterator

from ddpm_cli.denoiser import Estimate
from ddpm_cli.images import to_bytes
from ddpm_cli.samplers import Denoise
from ddpm_cli.shapes import Bytes, Images, Time

FRAMES = 50  # of a film, at most


def collect_states(
    draw: Callable[[Callable[[Denoise], Denoise]], Iterator[Images]],
) -> tuple[list[Bytes], list[Bytes]]:
    """x_t and the estimate made at it, as they begin and after every step; the last of both is the image. `draw` shows them."""
    estimates: list[Images] = []

    def seen(denoise: Denoise) -> Denoise:
        def look(x_t: Images, t: Time) -> Estimate:
            estimates.append((estimate := denoise(x_t, t)).x0)
            return estimate

        return look

    noised, estimated = [], []
    for images in draw(seen):
        noised.append(to_bytes(images).cpu())
        estimated += [to_bytes(estimates[0]).cpu()] if estimates else []
        estimates.clear()
    return noised, [*estimated, noised[-1]]
