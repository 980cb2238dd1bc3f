"""The parts of a run's page that come from a checkpoint: its facts, its verdict, and a film."""

from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from ddpm_cli.checkpoints import LAST, Checkpoint, newest_first, newest_readable
from ddpm_cli.config.schema import check_groups
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.generation.film import FRAMES, collect_states
from ddpm_cli.generation.generator import Generator
from ddpm_cli.generation.options import GenerationOptions
from ddpm_cli.models import load_denoiser
from ddpm_cli.rendering.html import fit_pictures
from ddpm_cli.rendering.tiles import grid, pil_image
from ddpm_cli.run_folder.page_parts import PageParts, page_key, save_page_parts
from ddpm_cli.run_folder.rows import metric_rows
from ddpm_cli.spacing import first_to_last
from ddpm_cli.training.verdict import Verdict

OF_FILM = 1_000_000  # the most bytes of the film in the page


def draw_page_parts(folder: Path, device: str, trust: list[str]) -> PageParts:
    """Draw the parts from the newest checkpoint that can be read, and keep them in the folder.

    Parts of an older checkpoint are not kept, so that every call says why the newest is skipped.
    """
    key, paths = page_key(folder, device, trust), newest_first(folder)
    if not paths:
        raise ValueError(
            "run must be the folder of a training run, "
            f"but there is no checkpoint in {str(folder / 'checkpoints')!r}"
        )
    checkpoint = newest_readable(paths).trusting(trust)
    denoiser = load_denoiser(checkpoint, weights="ema", device=device, trust=trust)
    config: Any = OmegaConf.to_container(checkpoint.config)
    parts = PageParts(
        step=checkpoint.step,
        steps=checkpoint.steps,
        classes=checkpoint.classes,
        config=config,
        environment=checkpoint.environment,
        verdict=verdict_text(checkpoint, folder),
        last=LAST,
        film=film_pictures(checkpoint, denoiser),
    )
    if checkpoint.path == paths[0]:
        save_page_parts(folder, key, parts)
    return parts


def verdict_text(checkpoint: Checkpoint, folder: Path) -> str:
    """The verdict in the run's own words; '' if no image is held out."""
    verdict = Verdict.from_state_dict(checkpoint.verdict, checkpoint.step)
    rows = [
        row
        for row in metric_rows(folder)
        if {"held_out", "training"} <= row.keys() and row["step"] <= checkpoint.step
    ]
    if not rows or not len(verdict.held_out):
        return ""
    verdict.latest = int(rows[-1]["step"]), rows[-1]["held_out"], rows[-1]["training"]
    return verdict.summary(checkpoint.config.trainer.best)


@torch.no_grad()
def film_pictures(checkpoint: Checkpoint, denoiser: Denoiser) -> dict[str, bytes]:
    """Pictures by sampling step: x_t of the first image beside the estimate of x_0."""
    cfg, shape = checkpoint.config, checkpoint.shape
    options = GenerationOptions(seed=cfg.seed, label="all" if denoiser.conditional else None)
    check_groups(cfg, "sampler")
    generator = Generator.from_config(cfg, denoiser, options, shape, checkpoint.classes)
    noised, estimated = collect_states(generator, [0])
    columns, last = max(2, shape[0] if shape[0] != 3 else 0), len(noised) - 1
    pictures = {}
    for place in first_to_last(len(noised), FRAMES):
        both, file = torch.cat([noised[place], estimated[place]]), BytesIO()
        pil_image(grid(both.numpy(), columns, tile=120)).save(file, "PNG")
        pictures[f"step {place} of {last}"] = file.getvalue()
    return fit_pictures(pictures, OF_FILM)
