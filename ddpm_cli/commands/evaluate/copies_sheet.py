"""The sheet of copies: generated images beside the training images nearest to them."""

import torch
from torch.nn.functional import pad

from ddpm_cli.data import ImageArray, select_images
from ddpm_cli.metrics import Copies
from ddpm_cli.rendering.tiles import GREY, labelled_rows
from ddpm_cli.shapes import Picture

SHOWN, ROWS = 32, 8  # pairs, and of these one below another


def copies_sheet(found: Copies, generated: ImageArray, training: ImageArray) -> Picture:
    """The generated images with the lowest ratios, which stand beside them; at their right the nearest, mirrored where that is nearer."""
    worst = found.ratios.argsort(stable=True)[:SHOWN]
    theirs = select_images(training, found.nearest[worst])
    theirs = torch.where(found.mirrored[worst][:, None, None, None], theirs.flip(-1), theirs)
    pairs = torch.stack([select_images(generated, worst), theirs], dim=1)
    rows = [
        (f"{ratio:.2f}", pair)
        for ratio, pair in zip(found.ratios[worst].tolist(), pairs, strict=True)
    ]
    columns = [labelled_rows(rows[first : first + ROWS]) for first in range(0, len(rows), ROWS)]
    height = max(each.shape[1] for each in columns)
    return torch.cat(
        [pad(each, (0, 0, 0, height - each.shape[1]), value=GREY) for each in columns], dim=2
    )
