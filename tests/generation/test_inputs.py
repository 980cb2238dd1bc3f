"""Images and masks of the user: values of more than 8 bits."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image

from ddpm_cli.generation.inputs import read_image, trained_range


def test_an_image_is_read_by_the_range_of_the_training_images(tmp_path):
    values = np.linspace(-2, 2, 16, dtype=np.float32).reshape(4, 4)
    Image.fromarray(values).save(tmp_path / "x.tif")
    image = read_image(str(tmp_path / "x.tif"), [1, 4, 4], (-2.0, 2.0))
    assert torch.allclose(image[0, 0], torch.from_numpy(values) / 2, atol=1 / 255)


def test_an_image_without_a_range_is_refused_by_its_name(tmp_path):
    Image.fromarray(np.full((4, 4), 812, np.float32)).save(tmp_path / "x.tif")
    with pytest.raises(ValueError, match=r"^cannot use the image '.*x\.tif': values run from 812 "):
        read_image(str(tmp_path / "x.tif"), [1, 4, 4])


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ([0, 4095], (0.0, 4095.0)),
        ("auto", None),
        (None, None),
        ([1, 0], None),
        ([0, float("inf")], None),
        ([0, 1, 2], None),
        ({"a": 1}, None),
        (7, None),
    ],
)
def test_a_range_in_a_checkpoint_is_two_rising_numbers_or_none(given, values):
    assert trained_range(OmegaConf.create({"data": {"range": given}})) == values
