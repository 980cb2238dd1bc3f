#!/usr/bin/env python
"""Print the Fréchet distance between a checkpoint's samples and the digits, in pixel space.

Images are in [-1, 1]; mean and full covariance of their 64 values (Dowson & Landau 1982). Beside it
stands the distance of `--n` random digits, at most half of them, from the others. A distance of n
and m images is too large by about 1/n + 1/m, so that it is a floor for so many samples alone.
"""

import argparse
from pathlib import Path
from typing import Literal

import torch

from ddpm_cli import samplers
from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.components import load_denoiser
from ddpm_cli.data import Preparation, digits
from ddpm_cli.generation.generator import Generator
from ddpm_cli.generation.options import GenerationOptions
from ddpm_cli.image_sets import load_image_set
from ddpm_cli.images import to_bytes
from ddpm_cli.metrics import Moments, frechet_distance, moments
from ddpm_cli.metrics.features import average_down
from ddpm_cli.shapes import Bytes


def pixel_moments(images: Bytes) -> Moments:
    """Mean and covariance of the pixels."""
    return moments(average_down(images, side=8))


@torch.no_grad()
def samples(path: Path, *, n: int, steps: int, seed: int, weights: Literal["ema", "raw"]) -> Bytes:
    """`n` images of a checkpoint as it would write them, by deterministic DDIM."""
    checkpoint = Checkpoint.load(path)
    denoiser = load_denoiser(checkpoint, weights=weights, device="cpu", trust=[])
    times = samplers.Grid(steps=steps, spacing="trailing").times(denoiser.diffusion)
    options = GenerationOptions(seed=seed)
    generator = Generator(denoiser, options, samplers.ddim, times, checkpoint.shape)
    *_, images = generator.trajectory(range(n))
    return to_bytes(images)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ckpt", type=Path, help="a checkpoint of ddpm-train on the digits")
    parser.add_argument("--n", type=int, default=1024, help="samples (default: 1024)")
    parser.add_argument("--steps", type=int, default=50, help="DDIM steps (default: 50)")
    parser.add_argument("--seed", type=int, default=0, help="of the samples (default: 0)")
    parser.add_argument("--weights", choices=["ema", "raw"], default="ema")
    options = vars(parser.parse_args())
    data = load_image_set(digits(), Preparation(size=8, channels=1, flip=False)).all_images()
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
    count = min(options["n"], len(data) // 2)
    drawn = samples(options.pop("ckpt"), **options)
    distance = frechet_distance(pixel_moments(drawn), pixel_moments(data))
    print(f"samples against the digits        {distance:.3f}")
    one, other = (pixel_moments(data[part]) for part in order.tensor_split([count]))
    print(f"{count:,} digits against the others".ljust(33), f"{frechet_distance(one, other):.3f}")
