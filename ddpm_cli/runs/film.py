"""How images come about: pictures of x_t and of the running estimate of x_0, and a film of both."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from ddpm_cli.denoiser import Estimate
from ddpm_cli.images import grid, save_gif, save_png, to_bytes
from ddpm_cli.report import spread
from ddpm_cli.runs.drawing import Drawing
from ddpm_cli.samplers import Denoise
from ddpm_cli.shapes import Bytes, Images, Time

IMAGES, COLUMNS, FRAMES = 10, 10, 50


def film(drawing: Drawing, n: int, folder: Path) -> Iterator[Path]:
    """Writes film.png (x_t) and film_x0.png (the estimate of x_0 there), the first images a row each, and film.gif; yields the paths."""
    noised, estimated = frames(partial(drawing.of, range(min(IMAGES, n))))
    for name, each in {"film.png": noised, "film_x0.png": estimated}.items():
        columns = [each[place] for place in spread(len(each), COLUMNS)]
        save_png(folder / name, grid(torch.stack(columns, dim=1).flatten(0, 1), columns=len(columns)))
        yield folder / name
    both = [torch.cat([noised[place], estimated[place]]) for place in spread(len(noised), FRAMES)]
    save_gif(folder / "film.gif", [grid(frame, columns=len(noised[0])) for frame in both], milliseconds=60)
    yield folder / "film.gif"


def frames(draw: Callable[[Callable[[Denoise], Denoise]], Iterator[Images]]) -> tuple[list[Bytes], list[Bytes]]:
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
