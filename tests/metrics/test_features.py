"""Features: pixels of images averaged down."""

import pytest
import torch

from ddpm_cli.images import to_float
from ddpm_cli.metrics import extract_features, pixels

CPU = torch.device("cpu")

IMAGES = torch.randint(
    0, 256, (5, 3, 8, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
)


def test_small_images_are_their_pixels():
    assert torch.equal(pixels(CPU, side=16).extract(IMAGES), to_float(IMAGES).flatten(1))


def test_large_images_are_averaged_down():
    found = pixels(CPU, side=4).extract(IMAGES).view(5, 3, 4, 4)
    torch.testing.assert_close(found[:, :, 1, 2], to_float(IMAGES)[:, :, 2:4, 6:9].mean((2, 3)))


def test_features_are_the_same_for_any_number_at_once():
    extract = pixels(CPU, side=4).extract
    assert torch.equal(extract_features(extract, IMAGES, at_once=2), extract(IMAGES))


def test_a_side_without_pixels_is_refused():
    with pytest.raises(ValueError, match=r"features.side must be at least 1, but is 0"):
        pixels(CPU, side=0)
