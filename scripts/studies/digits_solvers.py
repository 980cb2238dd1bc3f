#!/usr/bin/env python
"""Print the Fréchet distance (pixels) of samplers at few evaluations and of all ancestral steps.

It prints the mean over several seeds and its standard error, for a checkpoint of scripts/demo or
of ddpm-train on the digits, and whether the best of few evaluations is within 1.05 times the
ancestral distance plus two standard errors. Ancestral steps take most of the time.
"""

import argparse
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.components import load_denoiser
from ddpm_cli.data import Preparation, digits
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.generation.generator import Generator
from ddpm_cli.generation.options import GenerationOptions
from ddpm_cli.image_sets import load_image_set
from ddpm_cli.images import to_bytes
from ddpm_cli.metrics import Moments, frechet_distance, moments
from ddpm_cli.metrics.features import average_down
from ddpm_cli.samplers import Grid, ancestral, ddim, dpmpp_2m, heun, unipc
from ddpm_cli.shapes import Images

Setting = tuple[str, Callable[..., Iterator[Images]], Grid]
BATCH = 256


def few(evaluations: int) -> list[Setting]:
    """Settings of so many evaluations."""
    grids = [
        Grid(steps=evaluations, spacing=spacing) for spacing in ("trailing", "log_snr", "karras")
    ]
    multistep = {"dpmpp_2m": dpmpp_2m, "unipc": unipc, "unipc, order 3": partial(unipc, order=3)}
    found = [(name, sampler, grid) for name, sampler in multistep.items() for grid in grids]
    halves = [replace(grid, steps=(evaluations + 1) // 2) for grid in grids]
    return [*found, *[("heun", heun, grid) for grid in halves], ("ddim", ddim, grids[0])]


@torch.no_grad()
def distance(
    denoiser: Denoiser,
    reference: Moments,
    sampler: Callable[..., Iterator[Images]],
    grid: Grid,
    n: int,
    seed: int,
) -> float:
    """The distance of `n` samples from the digits."""
    drawn, times = [], grid.times(denoiser.diffusion)
    generator = Generator(denoiser, GenerationOptions(seed=seed), sampler, times, (1, 8, 8))
    for first in range(0, n, BATCH):
        *_, images = generator.trajectory(range(first, min(first + BATCH, n)))
        drawn.append(to_bytes(images))
    return frechet_distance(moments(average_down(torch.cat(drawn), side=8)), reference)


def report(name: str, grid: Grid, found: Sequence[float]) -> tuple[float, float]:
    """Print and return mean and standard error."""
    mean, error = statistics.mean(found), statistics.stdev(found) / len(found) ** 0.5
    each = ", ".join(f"{one:.3f}" for one in found)
    print(
        f"{name:16} {grid.steps!s:>4} steps {grid.spacing:9} {mean:.4f} +- {error:.4f}  ({each})",
        flush=True,
    )
    return mean, error


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ckpt", type=Path, help="a checkpoint of ddpm-train on the digits")
    parser.add_argument("--n", type=int, default=1024, help="samples of each (default: 1024)")
    parser.add_argument(
        "--evaluations", type=int, default=15, help="of the network, for an image (default: 15)"
    )
    parser.add_argument("--seeds", type=int, default=3, help="how many (default: 3)")
    parser.add_argument("--few", action="store_true", help="leave the ancestral steps out")
    options = parser.parse_args()
    denoiser = load_denoiser(Checkpoint.load(options.ckpt), weights="ema", device="cpu", trust=[])
    data = load_image_set(digits(), Preparation(size=8, channels=1, flip=False))
    reference = moments(average_down(data.all_images(), side=8))

    def over_seeds(setting: Setting) -> tuple[float, float]:
        """Mean and standard error of a setting."""
        name, sampler, grid = setting
        return report(
            name,
            grid,
            [
                distance(denoiser, reference, sampler, grid, options.n, seed)
                for seed in range(options.seeds)
            ],
        )

    best = min(over_seeds(setting) for setting in few(options.evaluations))[0]
    if not options.few:
        mean, error = over_seeds(("ancestral", ancestral, Grid(steps="all", spacing="even")))
        limit = 1.05 * mean + 2 * error
        print(
            f"best of {options.evaluations} evaluations: {best:.4f}; "
            f"1.05 ancestral + 2 standard errors: {limit:.4f} ({best <= limit})"
        )
