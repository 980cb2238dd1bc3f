"""The training images nearest to the newest samples: found by their pixels, kept in the folder."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from ddpm_cli.rendering.tiles import grid, save_png
from ddpm_cli.reports.nearest import save_nearest
from ddpm_cli.run_folder.layout import GRID, NEAREST_IMAGES

PLACES = torch.arange(0, 32, 2)


def images_of(channels, size):
    generator = torch.Generator().manual_seed(channels)
    return torch.randint(0, 256, (40, channels, *size), dtype=torch.uint8, generator=generator)


def nearest_of(folder, samples, images, **data):
    save_png(folder / GRID.format(4), grid(samples.numpy()))
    save_nearest(folder, OmegaConf.create({"data": data}), images)
    path = folder / NEAREST_IMAGES.format(4)
    return np.asarray(Image.open(path).convert("RGB")) if path.exists() else None


@pytest.mark.parametrize(("channels", "size"), [(1, (8, 8)), (3, (20, 24)), (4, (32, 32))])
def test_a_noised_training_image_is_next_to_itself(tmp_path, channels, size):
    images = images_of(channels, size)
    samples = (images[PLACES].int() + torch.tensor(3)).clamp(0, 255).byte()
    expected = grid(images[PLACES].numpy()).transpose(1, 2, 0)
    assert np.array_equal(nearest_of(tmp_path, samples, images), expected)


def test_a_mirrored_training_image_counts_where_the_run_mirrors_images(tmp_path):
    images = images_of(3, (8, 8))
    samples = images[PLACES].flip(-1)
    expected = grid(samples.numpy()).transpose(1, 2, 0)
    assert np.array_equal(nearest_of(tmp_path, samples, images, flip=True), expected)


@pytest.mark.parametrize("data", [{"cache": "off"}, {"streaming": True}])
def test_images_that_are_not_at_hand_are_not_searched(tmp_path, data):
    images = images_of(3, (8, 8))
    assert nearest_of(tmp_path, images[PLACES], images, **data) is None


def test_samples_of_another_size_have_no_nearest_images(tmp_path):
    assert nearest_of(tmp_path, images_of(3, (64, 64))[PLACES], images_of(3, (60, 60))) is None
