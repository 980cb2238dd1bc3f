"""The grid of samples, beside the images that steer them."""

from collections.abc import Mapping

import numpy as np
import torch

from ddpm_cli.generation.draw import class_names
from ddpm_cli.generation.generator import LAST, Generator
from ddpm_cli.generation.options import ALL
from ddpm_cli.images import to_bytes
from ddpm_cli.rendering.captions import labelled_rows, side_by_side
from ddpm_cli.rendering.tiles import Picture, grid, mosaic
from ddpm_cli.shapes import Pixels

TILE = 48  # pixels: the least side of an image


def grid_picture(generator: Generator, shown: Mapping[int, Pixels]) -> Picture:
    """The images by index as a grid, with a row for each class if all classes are drawn.

    The images that steer the generator stand beside the grid, as the model sees them.
    """
    images = torch.stack([shown[index] for index in sorted(shown)]).numpy()
    picture = grid(images, tile=TILE)
    if generator.options.label == ALL:
        names = np.array(class_names(generator, sorted(shown)))
        rows = [(name, images[names == name]) for name in generator.classes if name in names]
        picture = labelled_rows(rows, TILE)
    if not generator.inputs:
        return picture
    inputs = {
        name: mosaic(to_bytes(each).cpu().numpy(), None, TILE)
        for name, each in generator.inputs.items()
    }
    last = [(name, each) for name, each in inputs.items() if name == LAST]
    before = [(name, each) for name, each in inputs.items() if name != LAST]
    return side_by_side([*before, ("output", picture), *last])
