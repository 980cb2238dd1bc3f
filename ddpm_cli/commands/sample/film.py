"""The way from noise to images: pictures of x_t and of the estimate of x_0, and a film of both."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from ddpm_cli.even_indices import first_to_last
from ddpm_cli.generation.film import FRAMES, collect_states
from ddpm_cli.generation.generator import Generator
from ddpm_cli.generation.store import FILM
from ddpm_cli.rendering.tiles import grid, save_gif, save_png

IMAGES, COLUMNS = 10, 10


def write_film(generator: Generator, indices: Sequence[int], folder: Path) -> Iterator[Path]:
    """Write film.png (x_t), film_x0.png (its estimate of x_0) and film.gif; yield the paths.

    Each of the first images has a row.
    """
    noised, estimated = collect_states(generator, indices[:IMAGES])
    x_t, x_0, gif = FILM
    for name, states in {x_t: noised, x_0: estimated}.items():
        columns = [states[place] for place in first_to_last(len(states), COLUMNS)]
        images = torch.stack(columns, dim=1).flatten(0, 1).numpy()
        save_png(folder / name, grid(images, columns=len(columns)))
        yield folder / name
    places = first_to_last(len(noised), FRAMES)
    frames = [torch.cat([noised[place], estimated[place]]).numpy() for place in places]
    pictures = [grid(frame, columns=len(noised[0])) for frame in frames]
    save_gif(folder / gif, pictures, milliseconds=60)
    yield folder / gif
