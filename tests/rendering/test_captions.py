"""Words in pictures: names below images, captions above pictures, any letters."""

import numpy as np
import pytest

from ddpm_cli.rendering.captions import (
    LINE,
    SMALL,
    drawable_text,
    fit_text,
    font_of,
    labelled_rows,
    side_by_side,
)
from ddpm_cli.text import names_without_folder

BLACK = np.zeros((2, 3, 48, 48), np.uint8)
ODD = ["", "a", "x" * 5000, "été $x_1$ %s {}", "日本.png", "a\nb\x1b[31m", "\u202egnp.a", "\\ud800"]


@pytest.mark.parametrize("name", ODD)
def test_a_name_of_any_kind_stands_below_its_pair(name):
    picture = labelled_rows([("0.10", BLACK)] * 2, notes=[[name], ["b.png"]])
    assert picture.shape[1] == 2 * (52 + LINE)
    assert (picture[:, 52 : 52 + LINE, -4:] == 255).all()  # a long name ends before the edge


def test_a_long_name_loses_its_middle():
    short = fit_text("a_very_long_name_of_a_photograph_0001.jpg", 150)
    assert font_of(SMALL).getlength(short) <= 150
    assert short.startswith("a_very_")
    assert short.endswith("0001.jpg")
    assert fit_text("short.jpg", 150) == "short.jpg"


def test_letters_that_cannot_be_drawn_are_escapes():
    assert drawable_text("été Ж 日\t", SMALL) == "été Ж \\u65e5\\t"


def test_a_caption_stands_above_its_picture_and_is_never_cut():
    small, large = BLACK[0][:, :10, :10], BLACK[0]
    picture = side_by_side([("a long caption", small), ("b", large[:1])])
    assert picture.shape[1] == LINE + 48
    width = picture.shape[2] - 48
    assert width > font_of(SMALL).getlength("a long caption")
    assert (picture[:, LINE : LINE + 10, :10] == 0).all()
    assert (picture[:, LINE + 10 :, :width] == 255).all()
    assert (picture[:, LINE:, -48:] == 0).all()


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["/p/a.png"], ["a.png"]),
        (["/p/cats/1.png", "/p/dogs/1.png"], ["cats/1.png", "dogs/1.png"]),
        (["/p/a/1.png", "/p/ab/1.png"], ["a/1.png", "ab/1.png"]),
        (["image 3 of '/p/a.npy'"] * 2, ["image 3"] * 2),
        (["'c/1.png' in '/p/a.zip'", "'c/2.png' in '/p/a.zip'"], ["1.png", "2.png"]),
        (["/p/a, page 2", "x.png"], ["/p/a, page 2", "x.png"]),
        (["image 7", "image 8"], ["image 7", "image 8"]),
        (["/p/it's in 'x'.png"], ["it's in 'x'.png"]),
    ],
)
def test_names_lose_what_they_share(names, short):
    assert names_without_folder(names) == short
