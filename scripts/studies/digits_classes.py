#!/usr/bin/env python
"""Print how often a classifier of digits sees the class that a conditional checkpoint drew.

The images are of label=all by 50 steps of DDIM, at several scales of guidance. Beside them stand
the classifier's accuracy on digits that it has not seen, and how far guidance 1 is from the
conditional model, and 0 from the unconditional model.
"""

import argparse
from pathlib import Path

import torch
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.components import load_denoiser
from ddpm_cli.data import Preparation, digits
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.generation.generator import Noises
from ddpm_cli.guiders import cfg, with_and_without_label
from ddpm_cli.image_sets import load_image_set
from ddpm_cli.images import to_bytes
from ddpm_cli.samplers import Denoise, Grid, clip_x0, ddim, with_label
from ddpm_cli.shapes import Images, Labels

SHAPE = (1, 8, 8)


def guided_denoiser(denoiser: Denoiser, labels: Labels, scale: float) -> Denoise:
    """The denoiser with classifier-free guidance."""
    return cfg(with_and_without_label(denoiser, labels), scale, denoiser.diffusion)


@torch.no_grad()
def draw_images(denoiser: Denoiser, labels: Labels, scale: float, seed: int) -> Images:
    """Draw an image for every label."""
    times = Grid(steps=50, spacing="trailing").times(denoiser.diffusion)
    denoise = clip_x0(guided_denoiser(denoiser, labels, scale))
    *_, images = ddim(
        denoise,
        denoiser.diffusion,
        Noises.keyed(SHAPE, seed, range(len(labels)), torch.device("cpu")).start,
        times,
        torch.zeros_like,
    )
    return images


@torch.no_grad()
def apart(denoiser: Denoiser, labels: Labels, scale: float) -> float:
    """The largest difference of guidance 1 to the conditional model, or 0 to the unconditional."""
    x = Noises.keyed(SHAPE, 0, range(len(labels)), torch.device("cpu")).start
    alone = with_label(denoiser, labels) if scale == 1 else denoiser
    return float(
        (guided_denoiser(denoiser, labels, scale)(x, 500).x0 - alone(x, 500).x0).abs().max()
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "ckpt", type=Path, help="a checkpoint of ddpm-train model.conditional=true on the digits"
    )
    parser.add_argument("--n", type=int, default=500, help="samples (default: 500)")
    parser.add_argument("--seed", type=int, default=0, help="of the samples (default: 0)")
    options = parser.parse_args()
    denoiser = load_denoiser(Checkpoint.load(options.ckpt), weights="ema", device="cpu", trust=[])
    data = load_image_set(digits(), Preparation(size=8, channels=1, flip=False))
    assert data.labels is not None
    pixels = data.all_images().flatten(1).numpy() / 255
    seen, unseen, classes, others = train_test_split(
        pixels, data.labels.numpy(), test_size=0.2, random_state=0
    )
    accuracy = SVC().fit(seen, classes).score(unseen, others)
    print(f"the classifier on digits it has not seen   {accuracy:.1%}")
    classifier, labels = (
        SVC().fit(pixels, data.labels.numpy()),
        torch.arange(options.n) % len(data.classes),
    )
    for scale in (1.0, 2.0, 3.0):
        images = to_bytes(draw_images(denoiser, labels, scale, options.seed))
        share = classifier.score(images.flatten(1).numpy() / 255, labels.numpy())
        print(f"the class asked for, guidance {scale:g}            {share:.1%} of {options.n}")
    for scale, name in {1.0: "conditional", 0.0: "unconditional"}.items():
        difference = apart(denoiser, labels, scale)
        print(f"guidance {scale:g} and the {name + ' model':21} differ by at most {difference:.1e}")
