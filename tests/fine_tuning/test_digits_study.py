"""Fine-tuning on few images of a digit, after other digits, beside a fresh start."""

import runpy
from pathlib import Path

import pytest

from ddpm_cli.data import Preparation, digits
from ddpm_cli.image_sets import load_image_set

STUDY = Path(__file__).parents[2] / "scripts/studies/digits_fine_tune.py"


@pytest.mark.slow
def test_sixty_steps_from_other_digits_are_better_than_a_fresh_start_ever_is(
    tmp_path, cards, brief
):
    study = runpy.run_path(str(STUDY))
    data = load_image_set(digits(), Preparation(size=8, channels=1, flip=False))
    images, fours = data.all_images(), data.labels == data.classes.index("4")
    nine = study["write_images"](tmp_path / "nine", images[~fours])
    few = study["write_images"](tmp_path / "few", images[fours][:20])
    small = {"model.network.dim": 8, "model.network.dim_mults": [1, 2], "trainer.warmup": 10}
    others, fresh = images[fours][20:], {"data.path": few, "trainer.batch_size": 20}
    learned = {**small, "data.path": nine, "trainer.batch_size": 32}
    losses = study["losses_by_step"]
    losses(tmp_path / "base", others, learned, 300, 300)
    tuned = losses(tmp_path / "tuned", others, {**fresh, "init": tmp_path / "base"}, 60, 60)
    scratch = losses(tmp_path / "scratch", others, {**fresh, **small}, 200, 40)
    assert tuned[60] < min(scratch.values())
