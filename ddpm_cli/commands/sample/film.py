"""How images come about: pictures of x_t and of the running estimate of x_0, and a film of both."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch

from ddpm_cli.generation.film import FRAMES, collect_states
from ddpm_cli.generation.generator import Generator
from ddpm_cli.rendering.html import spread
from ddpm_cli.rendering.tiles import grid, save_gif, save_png

IMAGES, COLUMNS = 10, 10


def write_film(drawing: Generator, n: int, folder: Path) -> Iterator[Path]:
    """Writes film.png (x_t) and film_x0.png (the estimate of x_0 there), the first images a row each, and film.gif; yields the paths."""
    noised, estimated = collect_states(partial(drawing.of, range(min(IMAGES, n))))
    for name, each in {"film.png": noised, "film_x0.png": estimated}.items():
        columns = [each[place] for place in spread(len(each), COLUMNS)]
        save_png(
            folder / name, grid(torch.stack(columns, dim=1).flatten(0, 1), columns=len(columns))
        )
        yield folder / name
    both = [torch.cat([noised[place], estimated[place]]) for place in spread(len(noised), FRAMES)]
    save_gif(
        folder / "film.gif",
        [grid(frame, columns=len(noised[0])) for frame in both],
        milliseconds=60,
    )
    yield folder / "film.gif"
