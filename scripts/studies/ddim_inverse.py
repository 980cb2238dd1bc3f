#!/usr/bin/env python
"""Print how exactly DDIM restores an image: from time 1 to T by its inverse, and back.

Both ways take one grid and clip x_0. The error is |x' - x| / |x| over 64 images of the data;
rounds are fixed-point iterations in each step of the inverse.
"""

import argparse
from pathlib import Path

import torch

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.components import load_denoiser
from ddpm_cli.data import Preparation, digits
from ddpm_cli.image_sets import load_image_set
from ddpm_cli.images import to_float
from ddpm_cli.samplers import clip_x0, ddim, inverse
from ddpm_cli.samplers.grids import even

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ckpt", type=Path, help="a checkpoint of ddpm-train on the digits")
    parser.add_argument("--steps", type=int, default=200, help="times of the grid (default: 200)")
    options = parser.parse_args()
    denoiser = load_denoiser(Checkpoint.load(options.ckpt), weights="ema", device="cpu", trust=[])
    data = load_image_set(digits(), Preparation(size=8, channels=1, flip=False))
    x = to_float(data.all_images()[:64])
    times, denoise = even(denoiser.diffusion, options.steps), clip_x0(denoiser)
    with torch.no_grad():
        for rounds in (1, 2, 3, 5):
            *_, noise = inverse(denoise, denoiser.diffusion, x, times[::-1], rounds=rounds)
            *_, back = ddim(denoise, denoiser.diffusion, noise, times, torch.zeros_like)
            print(
                f"rounds {rounds}: relative error {float((back - x).norm() / x.norm()):.2e}, "
                f"noise of std {float(noise.std()):.3f}",
                flush=True,
            )
