"""Bytes, grids and files of images."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.utils import make_grid

from ddpm_cli.files import write_atomically
from ddpm_cli.images import to_bytes, to_float
from ddpm_cli.rendering.captions import labelled_rows
from ddpm_cli.rendering.tiles import grid, save_gif, save_png

EVERY_BYTE = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)


def test_every_byte_comes_back():
    assert torch.equal(to_bytes(to_float(EVERY_BYTE)), EVERY_BYTE)
    assert to_float(EVERY_BYTE).min() == -1
    assert to_float(EVERY_BYTE).max() == 1


def test_floats_are_rounded_and_clamped_and_never_wrap_around():
    floats = torch.tensor([-9.0, -1.004, 0.0, 0.999, 1.004, 9.0]).view(1, 1, 1, 6)
    assert to_bytes(floats).flatten().tolist() == [0, 0, 128, 255, 255, 255]


@pytest.mark.parametrize(("channels", "tiles"), [(1, 4), (3, 4), (2, 8), (4, 16), (5, 20)])
def test_grids_show_any_number_of_channels(channels, tiles):
    picture = grid(np.zeros((4, channels, 64, 64), dtype=np.uint8), columns=4)
    assert picture.shape == (3, tiles // 4 * 66 + 2, 4 * 66 + 2)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize(("count", "columns"), [(1, None), (3, None), (7, 3), (2, 9), (16, None)])
def test_grids_are_those_of_torchvision(channels, count, columns):
    noise = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, channels, 50, 60), dtype=torch.uint8, generator=noise)
    tiles = images.reshape(-1, 1, 50, 60) if channels == 2 else images
    expected = make_grid(
        tiles, nrow=columns or math.ceil(math.sqrt(len(tiles))), padding=2, pad_value=128
    )
    assert np.array_equal(grid(images.numpy(), columns), expected)


def test_small_images_are_enlarged_without_blur():
    picture = grid(EVERY_BYTE.numpy(), columns=1)
    assert picture.shape == (3, 48, 48)
    assert np.array_equal(picture[0, ::3, ::3], EVERY_BYTE[0, 0])


def test_rows_of_any_length_stand_beside_their_labels():
    black = np.zeros((3, 1, 8, 8), dtype=np.uint8)
    picture = labelled_rows([("ddim, 5 steps", black), ("one", black[:1])])
    margin = picture.shape[2] - (3 * 50 + 2)
    words, rows = picture[:, :, :margin], picture[:, :, margin:]
    assert picture.shape[1] == 2 * 52
    assert (words[:, :52] < 128).sum() > (words[:, 52:] < 128).sum() > 0
    assert [int((rows[0, line] == 0).sum()) for line in (26, 78)] == [3 * 48, 48]
    assert (rows[:, 52:, 52:] == 128).all()


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_labelled_rows_show_any_number_of_channels(channels):
    images = np.zeros((2, channels, 64, 64), dtype=np.uint8)
    assert labelled_rows([("a", images)]).shape[1] == 68


def test_pictures_are_written_as_they_are(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (3, 5, 7), dtype=np.uint8)
    save_png(tmp_path / "new/grey.png", EVERY_BYTE[0].numpy())
    save_png(tmp_path / "colours.png", colours)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "new/grey.png")), EVERY_BYTE[0, 0])
    assert np.array_equal(
        np.asarray(Image.open(tmp_path / "colours.png")).transpose(2, 0, 1), colours
    )


def test_films_have_their_frames(tmp_path):
    frames = [np.full((3, 8, 8), level, dtype=np.uint8) for level in (0, 100, 200)]
    save_gif(tmp_path / "film.gif", frames, milliseconds=60)
    assert Image.open(tmp_path / "film.gif").n_frames == 3


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(partial):
        partial.write_text("ne")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("file", "old")]
