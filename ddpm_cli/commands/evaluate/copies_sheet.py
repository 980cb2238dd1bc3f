"""The sheet of copies: generated images beside the nearest training images."""

from collections.abc import Callable

import numpy as np
import torch

from ddpm_cli.images import ImageArray, select_images
from ddpm_cli.metrics import Copies
from ddpm_cli.rendering.captions import labelled_rows
from ddpm_cli.rendering.tiles import Picture, extend
from ddpm_cli.text import names_without_folder

SHOWN, ROWS = 32, 8  # pairs in the sheet, and rows of the sheet


def copies_sheet(
    copies: Copies, generated: ImageArray, training: ImageArray, name: Callable[[int], str]
) -> Picture:
    """The generated images with the lowest ratios, and the nearest training image of each.

    The ratio stands at the left, the training image's name below. A training image is mirrored if
    its mirror image is nearer. name: the name of a training image by its index.
    """
    worst = copies.ratios.argsort(stable=True)[:SHOWN]
    theirs = select_images(training, copies.nearest[worst])
    theirs = torch.where(copies.mirrored[worst][:, None, None, None], theirs.flip(-1), theirs)
    pairs = torch.stack([select_images(generated, worst), theirs], dim=1)
    rows = [
        (f"{ratio:.2f}", pair.numpy())
        for ratio, pair in zip(copies.ratios[worst].tolist(), pairs, strict=True)
    ]
    names = names_without_folder([name(place) for place in copies.nearest[worst].tolist()])
    notes = [[each] for each in names]
    columns = [
        labelled_rows(rows[first : first + ROWS], notes=notes[first : first + ROWS])
        for first in range(0, len(rows), ROWS)
    ]
    height = max(each.shape[1] for each in columns)
    return np.concatenate([extend(each, height=height) for each in columns], axis=2)
