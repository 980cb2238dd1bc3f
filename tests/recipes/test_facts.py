"""The facts of a recipe, from sources of any kind."""

import numpy as np
import pytest
import torch
from image_folders import tree
from PIL import Image

from ddpm_cli import data
from ddpm_cli.recipes import facts
from ddpm_cli.recipes.facts import facts_of_run, image_count, median_side


def test_the_side_is_the_median_of_the_shorter_sides(tmp_path):
    for name, size in (("a", (10, 90)), ("b", (30, 20)), ("c", (70, 80))):
        Image.new("RGB", size).save(tmp_path / f"{name}.png")
    assert median_side(data.folder(path=str(tmp_path))) == 20


def test_unreadable_images_and_arrays_have_sides_too(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.png").write_bytes(b"no image")
    assert median_side(data.folder(path=str(tmp_path))) == 64
    np.save(tmp_path / "images.npy", np.zeros((5, 12, 9, 3), dtype=np.uint8))
    assert median_side(data.arrays(path=str(tmp_path / "images.npy"))) == 9


def test_held_out_images_do_not_count(tmp_path):
    source = data.folder(path=str(tree(tmp_path, [f"{each}.png" for each in range(20)])))
    assert image_count(source, 0.25) == 15
    assert image_count(source, 0.0) == 20


@pytest.mark.parametrize(("device", "cores"), [("cpu", 16), ("mps", 2)])
def test_the_threads_of_a_cpu_are_cores_of_no_other_device(monkeypatch, composed, device, cores):
    monkeypatch.setattr(facts, "find_device", lambda _: torch.device(device))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    cfg = composed("train", "trainer.parallel=dp")
    assert facts_of_run(cfg, data.digits(), processes=2).cores == cores
