"""The grid of images, and the list of files that are written."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from ddpm_cli.commands.sample.film import write_film
from ddpm_cli.commands.sample.options import Options
from ddpm_cli.generation.generator import Generator
from ddpm_cli.generation.store import INDEX
from ddpm_cli.rendering.tiles import grid, labelled_rows, save_png
from ddpm_cli.shapes import Pixels

SHOWN, COLUMNS = 256, 10  # images in a grid; in its rows, where they are classes


def grid_count(generator: Generator, options: Options) -> int:
    """The number of images in the grid: the first ones, as many of every class.

    Raises ValueError where the other images would be lost.
    """
    rows = len(generator.classes) if generator.options.label == "all" else 1
    most = SHOWN if rows == 1 else rows * min(COLUMNS, math.ceil(options.n / rows))
    if options.n > most and options.grid and not (options.png or options.npz):
        raise ValueError(
            f"a grid shows the first {most} images, but n is {options.n}: "
            "add png=true or npz=true for the others"
        )
    return min(options.n, most) if options.grid else 0


def write_outputs(
    generator: Generator, shown: Mapping[int, Pixels], options: Options, folder: Path
) -> Iterator[Path]:
    """Write grid and film as asked; yield the paths of all outputs.

    The grid has a row for each class where there are all classes.
    """
    files = {"png": options.png, "npz": options.npz, INDEX: options.png or options.npz}
    yield from (folder / name for name, asked in files.items() if asked)
    if options.grid:
        images = torch.stack([shown[index] for index in sorted(shown)]).numpy()
        classes = generator.classes if generator.options.label == "all" else []
        rows = [
            (name, images[place :: len(classes)])
            for place, name in enumerate(classes)
            if place < len(images)
        ]
        save_png(folder / "grid.png", labelled_rows(rows) if rows else grid(images))
        yield folder / "grid.png"
    if options.film:
        yield from write_film(generator, options.n, folder)
