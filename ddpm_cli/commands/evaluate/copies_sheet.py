"""The sheet of copies: generated images beside the nearest training images."""

import numpy as np
import torch

from ddpm_cli.images import ImageArray, select_images
from ddpm_cli.metrics import Copies
from ddpm_cli.rendering.tiles import Picture, extend, labelled_rows

SHOWN, ROWS = 32, 8  # pairs in the sheet, and rows of the sheet


def copies_sheet(copies: Copies, generated: ImageArray, training: ImageArray) -> Picture:
    """The generated images with the lowest ratios, and the nearest training image of each.

    The ratio stands at the left. A training image is mirrored if its mirror image is nearer.
    """
    worst = copies.ratios.argsort(stable=True)[:SHOWN]
    theirs = select_images(training, copies.nearest[worst])
    theirs = torch.where(copies.mirrored[worst][:, None, None, None], theirs.flip(-1), theirs)
    pairs = torch.stack([select_images(generated, worst), theirs], dim=1)
    rows = [
        (f"{ratio:.2f}", pair.numpy())
        for ratio, pair in zip(copies.ratios[worst].tolist(), pairs, strict=True)
    ]
    columns = [labelled_rows(rows[first : first + ROWS]) for first in range(0, len(rows), ROWS)]
    height = max(each.shape[1] for each in columns)
    return np.concatenate([extend(each, height=height) for each in columns], axis=2)
