"""The pictures on the page of a run, by caption or title, made smaller if they must be."""

import math
from io import BytesIO
from pathlib import Path

import torch

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.config.schema import check_groups
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.even_indices import first_to_last
from ddpm_cli.generation.film import FRAMES, collect_states
from ddpm_cli.generation.generator import Generator
from ddpm_cli.generation.options import GenerationOptions
from ddpm_cli.hardware import count_flops
from ddpm_cli.rendering.html import fit_picture, fit_pictures
from ddpm_cli.rendering.tiles import grid, pil_image
from ddpm_cli.reports.samples import OF_PICTURE
from ddpm_cli.run_folder.layout import DATA, FORWARD, HELD_OUT
from ddpm_cli.run_folder.pictures import read_pngs

MOST_DRAWS, MOST_NUMBERS, MOST_FLOPS = 4000, 2e8, 2e13  # of a film: noise, pixels, networks
SMALL = 2**14  # numbers of an image that any network draws in bounded time
OF_FILM = 1_000_000  # the most bytes in the page


@torch.no_grad()
def film_pictures(checkpoint: Checkpoint, denoiser: Denoiser) -> dict[str, bytes]:
    """Pictures by sampling step: x_t of the first image beside the estimate of x_0.

    A film that would take minutes or much memory, as of a stranger's checkpoint, is left out.
    """
    cfg, shape = checkpoint.config.copy(), checkpoint.shape
    cfg.pop("guider", None)  # the film is without guidance
    options = GenerationOptions(seed=cfg.seed, label="all" if denoiser.conditional else None)
    check_groups(cfg, "sampler")
    generator = Generator.from_config(cfg, denoiser, options, shape, checkpoint.classes)
    if not is_affordable(generator, cfg.sampler.get("draws", 1)):
        return {}
    noised, estimated = collect_states(generator, [0])
    columns, last = max(2, shape[0] if shape[0] != 3 else 0), len(noised) - 1
    pictures = {}
    for place in first_to_last(len(noised), FRAMES):
        both, file = torch.cat([noised[place], estimated[place]]), BytesIO()
        pil_image(grid(both.numpy(), columns, tile=120)).save(file, "PNG")
        pictures[f"step {place} of {last}"] = file.getvalue()
    return fit_pictures(pictures, OF_FILM)


def is_affordable(generator: Generator, draws: int) -> bool:
    """Whether a film of a generator's image takes a bounded amount of work and memory."""
    steps, pixels = generator.steps, math.prod(generator.shape)
    if steps * draws > MOST_DRAWS or steps * pixels > MOST_NUMBERS:
        return False
    if pixels <= SMALL:  # a count loads a large part of torch
        return True
    flops = count_flops(generator.denoiser.network, generator.shape) or 0
    return steps * flops / 3 <= MOST_FLOPS  # forward takes a third


def data_pictures(folder: Path) -> dict[str, bytes]:
    """The pictures of the data, of the noise and of the held-out losses, by file."""
    pictures = read_pngs(folder / name for name in (DATA, FORWARD, HELD_OUT))
    return {path.name: fit_picture(data, OF_PICTURE) for path, data in pictures.items()}
