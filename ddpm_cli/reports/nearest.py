"""The training images nearest to the newest samples of a run, as a picture in its folder."""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from einops import rearrange
from omegaconf import DictConfig

from ddpm_cli.even_indices import evenly_spaced
from ddpm_cli.images import ImageArray, ImageSubset, select_images
from ddpm_cli.metrics import extract_features, nearest_neighbours
from ddpm_cli.metrics.features import average_down
from ddpm_cli.rendering.tiles import grid, save_png
from ddpm_cli.reports.samples import grid_images
from ddpm_cli.run_folder.layout import NEAREST_IMAGES
from ddpm_cli.run_folder.pictures import sample_grids
from ddpm_cli.shapes import Bytes, Features

SIDE = 16  # pixels a side to which images are averaged before they are compared
MOST, MOST_BYTES = 50_000, 2**29  # of the training images that are compared, and of their pixels


@torch.no_grad()
def save_nearest(folder: Path, cfg: DictConfig, training: ImageArray) -> None:
    """Write the training image nearest to each of the newest samples, at the sample's place.

    Images are compared by their pixels; a mirrored training image counts if the run mirrors images.
    Nothing is written for images that are read anew at each access, and for samples of another
    size.
    """
    grids = sample_grids(folder)
    if not grids or cfg.data.get("cache") == "off" or cfg.data.get("streaming"):
        return
    step = max(grids)
    samples = sampled_images(grids[step], training.shape[1:])
    if samples is None:
        return
    count, *shape = training.shape
    most = min(count, MOST, max(1, MOST_BYTES // math.prod(shape)))
    images = ImageSubset(training, torch.tensor(evenly_spaced(count, most)))
    features = extract_features(pixel_features, images)
    near, places = nearest_neighbours(pixel_features(samples), features, 1)
    nearest = select_images(images, places[:, 0])
    if cfg.data.get("flip"):
        turned, turned_places = nearest_neighbours(pixel_features(samples.flip(-1)), features, 1)
        mirrored = select_images(images, turned_places[:, 0]).flip(-1)
        nearest = torch.where((turned < near)[..., None, None], mirrored, nearest)
    save_png(folder / NEAREST_IMAGES.format(step), grid(nearest.numpy()))


def sampled_images(path: Path, shape: Sequence[int]) -> Bytes | None:
    """The images of a shape [C, H, W] in a grid of samples; None if the grid holds others."""
    channels, height, width = shape
    try:
        tiles = grid_images(path, channels)
    except ValueError:
        return None
    zoom = max(1, tiles.shape[2] // height)  # a grid enlarges small images
    tiles = tiles[:, :, ::zoom, ::zoom]
    if channels != 3:
        tiles = rearrange(tiles[:, :1], "(b c) grey h w -> b (c grey) h w", c=channels)
    return torch.from_numpy(tiles.copy()) if tiles.shape[2:] == (height, width) else None


def pixel_features(images: Bytes) -> Features:
    """Images as rows of pixels, averaged to at most SIDE pixels a side."""
    return average_down(images, SIDE)
