#!/usr/bin/env python
"""Print how far fine-tuning on 20 images of one digit gets in 60 steps, beside a fresh start.

A network learns the nine other digits; `init=` takes its weights up on the 20 images. The loss is
the mean squared error of the noise on the digit's remaining images, at fixed times and noise.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import torch
from PIL import Image

import ddpm_cli
from ddpm_cli.checkpoints import newest_first
from ddpm_cli.data import Preparation, digits
from ddpm_cli.image_sets import load_image_set
from ddpm_cli.shapes import Bytes

FEW, ROUNDS = 20, 8  # images to fine-tune on; times and noises for each image of the loss
COMMON = {  # options of all three runs
    **{"data": "folder", "data.size": 8, "data.channels": 1, "data.flip": False},
    **{"data.holdout": 0, "data.cache": "off", "auto": False, "trainer.loggers": []},
    **{"trainer.sample_every": 10**6, "trainer.evaluate_every": 10**6},
}


def write_images(folder: Path, images: Bytes) -> Path:
    """Write grey images as PNG files into a new folder."""
    folder.mkdir(parents=True)
    for place, image in enumerate(images):
        Image.fromarray(image[0].numpy()).save(folder / f"{place:04}.png")
    return folder


@torch.no_grad()
def loss_on(path: Path, images: Bytes, weights: Literal["ema", "raw"]) -> float:
    """The loss of a checkpoint on images."""
    model = ddpm_cli.load(path, weights=weights, device="cpu")
    numbers = torch.Generator().manual_seed(0)
    x0 = (images.float() / 127.5 - 1).repeat(ROUNDS, 1, 1, 1)
    shares = (torch.arange(len(x0)) + 0.5) / len(x0)
    t = (shares * model.diffusion.steps).long()[torch.randperm(len(x0), generator=numbers)] + 1
    eps = torch.randn(x0.shape, generator=numbers)
    output = model.denoise(model.diffusion.add_noise(x0, eps, t), t).output
    return float((output - eps).square().mean())


def losses_by_step(
    folder: Path, images: Bytes, options: Mapping[str, object], steps: int, every: int
) -> dict[int, float]:
    """Train, and return the lower of the losses of EMA and raw weights at each checkpoint."""
    paced = {"trainer.steps": steps, "trainer.checkpoint_every": every, "trainer.keep_last": 1000}
    ddpm_cli.train({**COMMON, **options, **paced}, folder=folder)
    return {
        int(path.stem.removeprefix("step_")): min(loss_on(path, images, kind) for kind in KINDS)
        for path in reversed(newest_first(folder))
    }


KINDS: tuple[Literal["ema", "raw"], ...] = ("ema", "raw")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--digit", default="4", help="the digit to fine-tune on (default: 4)")
    parser.add_argument("--dim", type=int, default=16, help="width (default: 16)")
    parser.add_argument("--steps", type=int, default=800, help="on the nine digits (default: 800)")
    options = parser.parse_args()
    data = load_image_set(digits(), Preparation(size=8, channels=1, flip=False))
    assert data.labels is not None
    images, of_digit = data.all_images(), data.labels == data.classes.index(options.digit)
    with TemporaryDirectory() as name:
        root = Path(name)
        nine = write_images(root / "nine", images[~of_digit])
        few = write_images(root / "few", images[of_digit][:FEW])
        others = images[of_digit][FEW:]
        small = {"data.path": few, "trainer.batch_size": FEW, "trainer.warmup": 10}
        learned = {"data.path": nine, "model.network.dim": options.dim}
        before = losses_by_step(root / "base", others, learned, options.steps, options.steps)
        fresh = {**small, "model.network.dim": options.dim}
        scratch = losses_by_step(root / "scratch", others, fresh, 600, 20)
        tuned = losses_by_step(root / "tuned", others, {**small, "init": root / "base"}, 60, 10)
    step = min(scratch, key=lambda each: scratch[each])
    print(f"{len(others)} other images of the digit {options.digit}")
    print(f"before fine-tuning, {options.steps} steps on nine digits   {before[options.steps]:.4f}")
    for place, loss in tuned.items():
        print(f"fine-tuned for {place:3} steps                      {loss:.4f}")
    print(f"from scratch, the lowest of 600 steps (at {step:3})   {scratch[step]:.4f}")
