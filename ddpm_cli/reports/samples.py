"""The samples of a run as pictures on its page, and as images."""

import math
from io import BytesIO
from pathlib import Path

import numpy as np
from einops import EinopsError, rearrange
from PIL import Image

from ddpm_cli.even_indices import first_to_last
from ddpm_cli.rendering.html import fit_picture, fit_pictures
from ddpm_cli.rendering.tiles import GAP, ImageBytes
from ddpm_cli.run_folder.layout import DATA, NEAREST_IMAGES
from ddpm_cli.run_folder.pictures import PREVIEWS, read_pngs, sample_grids

GRIDS = 50  # the most grids of samples
OF_SAMPLES, OF_PICTURE = 4_000_000, 700_000  # the most bytes in the page


def sample_pictures(folder: Path) -> dict[str, bytes]:
    """The grids of samples by training step."""
    grids = list(sample_grids(folder).items())
    steps = {
        path: step for step, path in (grids[place] for place in first_to_last(len(grids), GRIDS))
    }
    pictures = {f"step {steps[path]:,}": data for path, data in read_pngs(steps).items()}
    return fit_pictures(pictures, OF_SAMPLES)


def nearest_picture(folder: Path) -> bytes | None:
    """The training images nearest to the newest samples; None if the run has no such picture.

    A page shows training images only if the run's batch of training images is there too.
    """
    grids = sample_grids(folder)
    if not grids or not (folder / DATA).is_file():
        return None
    pictures = read_pngs([folder / NEAREST_IMAGES.format(max(grids))])
    return next((fit_picture(data, OF_PICTURE) for data in pictures.values()), None)


def grid_images(path: Path, channels: object) -> ImageBytes:
    """The images in a grid of samples, in RGB; 2, 4 or 5 channels are an image each.

    Raises ValueError if the picture is no grid.
    """
    count = PREVIEWS * (channels if isinstance(channels, int) and channels in (2, 4, 5) else 1)
    columns = math.ceil(math.sqrt(count))
    try:
        (data,) = read_pngs([path]).values()
        picture = np.asarray(Image.open(BytesIO(data)).convert("RGB"))[GAP:, GAP:]
        images = rearrange(
            picture,
            "(row h) (column w) c -> (row column) c h w",
            row=math.ceil(count / columns),
            column=columns,
        )
    except (ValueError, EinopsError) as error:
        raise ValueError(f"{str(path)!r} is no grid of samples") from error
    return images[:count, :, :-GAP, :-GAP]
