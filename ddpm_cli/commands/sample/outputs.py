"""The grid of images, and the list of files that are written."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from ddpm_cli.commands.sample.film import write_film
from ddpm_cli.commands.sample.options import Options
from ddpm_cli.generation.generator import Generator
from ddpm_cli.rendering.tiles import grid, labelled_rows, save_png
from ddpm_cli.shapes import Pixels

SHOWN, COLUMNS = 256, 10  # images in a grid; in its rows, where they are classes


def grid_count(made: Generator, options: Options) -> int:
    """How many images the grid shows: the first ones, as many of every class; ValueError where the others would be lost."""
    rows = len(made.classes) if made.options.label == "all" else 1
    most = SHOWN if rows == 1 else rows * min(COLUMNS, math.ceil(options.n / rows))
    if options.n > most and options.grid and not (options.png or options.npz):
        raise ValueError(
            f"a grid shows the first {most} images, but n is {options.n}: add png=true or npz=true for the others"
        )
    return min(options.n, most) if options.grid else 0


def write_outputs(
    made: Generator, shown: Mapping[int, Pixels], options: Options, folder: Path
) -> Iterator[Path]:
    """Shows the first images in a grid, a row a class where there are all, and in a film; yields the paths of what is written."""
    files = {"png": options.png, "npz": options.npz, "index.csv": options.png or options.npz}
    yield from (folder / name for name, asked in files.items() if asked)
    if options.grid:
        images = torch.stack([shown[index] for index in sorted(shown)])
        classes = made.classes if made.options.label == "all" else []
        rows = [
            (name, images[place :: len(classes)])
            for place, name in enumerate(classes)
            if place < len(images)
        ]
        save_png(folder / "grid.png", labelled_rows(rows) if rows else grid(images))
        yield folder / "grid.png"
    if options.film:
        yield from write_film(made, options.n, folder)
