#!/usr/bin/env python
"""Train each network on the digits for the same minutes, and print their Fréchet distances.

The distance is that of `scripts/studies/digits_quality.py`: 1,024 samples by 50 steps of DDIM,
against all digits, in pixel space. The networks are small enough for 8 x 8 pixels and a CPU.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

import ddpm_cli
from ddpm_cli.data import Preparation, digits
from ddpm_cli.image_sets import load_image_set
from ddpm_cli.metrics import Moments, frechet_distance, moments
from ddpm_cli.metrics.features import average_down
from ddpm_cli.shapes import Bytes

REFERENCE = {
    "model.network.dim": 32,
    "model.network.dim_mults": [1, 2],
    "model.network.blocks": 1,
    "model.network.attention_at": [4],
    "model.network.dropout": 0.0,
}
NETWORKS = {
    "resnet": {},
    "convnext": {},
    "ho": REFERENCE,
    "iddpm": REFERENCE,
    "adm": REFERENCE | {"model.network.head_dim": 32},
    "dit": {},
}
COMMON = {
    **{"data": "digits", "trainer.optimizer.lr": 3e-3, "trainer.loggers": []},
    **{"trainer.sample_every": 10**6, "trainer.evaluate_every": 10**6},
}


def pixel_moments(images: Bytes) -> Moments:
    """Mean and covariance of the pixels."""
    return moments(average_down(images, side=8))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", help="names of networks (default: all)")
    parser.add_argument("--minutes", type=float, default=1.0, help="of each run (default: 1)")
    parser.add_argument("--n", type=int, default=1024, help="samples (default: 1024)")
    options = parser.parse_args()
    reference = load_image_set(digits(), Preparation(size=8, channels=1, flip=False)).all_images()
    print("network    parameters   steps   Fréchet distance")
    for name in options.networks or NETWORKS:
        with TemporaryDirectory() as folder:
            own = {"model": name, "trainer.minutes": options.minutes, **NETWORKS[name]}
            run = ddpm_cli.train({**COMMON, **own}, folder=Path(folder, "run"))
            model = ddpm_cli.load(run.folder)
        drawn = model.sample(options.n, seed=0, sampler="ddim", steps=50)
        distance = frechet_distance(pixel_moments(torch.as_tensor(drawn)), pixel_moments(reference))
        parameters = sum(each.numel() for each in model.network.parameters())
        print(f"{name:<10} {parameters:>10,} {model.checkpoint.steps:>7,}   {distance:.3f}")
