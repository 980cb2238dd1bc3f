"""The samples that a run shows as it goes, and whether their colours are those of its data."""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from ddpm_cli.commands.train.run import Run
from ddpm_cli.config.build import bind, group_options
from ddpm_cli.data import select_images
from ddpm_cli.generation.trajectory import initial_noise, trajectory
from ddpm_cli.images import to_bytes, to_float
from ddpm_cli.rendering.tiles import grid
from ddpm_cli.run_folder.pictures import PREVIEWS
from ddpm_cli.shapes import Bytes, Features, Images, Labels

ENOUGH = 1024  # images of the data to compare with
SURE, VISIBLE = (
    4.0,
    0.1,
)  # an alarm: standard errors from the data's mean, and how much in images from -1 to 1
EARLY = 500  # steps, before which samples have no colours to speak of
NOISE_LEVELS = 10
log = logging.getLogger(__name__)


@torch.no_grad()
def write_preview(run: Run) -> None:
    """A grid of the average's samples, from the same noise at every step of the run."""
    *_, images = preview_trajectory(run)
    every = torch.cat(run.group.all_gather(to_bytes(images).cpu()))
    run.logger.picture(f"samples/step_{run.state.step:08d}.png", grid(every), run.state.step)
    if run.group.is_first:
        check_colours(run, every)


def preview_trajectory(run: Run) -> Iterator[Images]:
    """This process's share of the samples that are shown, after every step of the sampler; a conditional model's, class after class."""
    indices = range(PREVIEWS)[run.group.slice_of(PREVIEWS)]
    if not indices:
        return iter([torch.empty(0, *run.data.images.shape[1:])])
    labels = (
        torch.tensor([index % len(run.data.classes) for index in indices])
        if run.state.denoiser.conditional
        else None
    )
    return sample_ema(run, indices, labels)


def sample_ema(run: Run, indices: Sequence[int], labels: Labels | None) -> Iterator[Images]:
    """Samples of the average by the run's own sampler, as they begin and after every step."""
    denoiser = replace(run.state.denoiser, network=run.state.ema)
    shape, sampler, spaced = (
        run.data.images.shape[1:],
        bind(run.cfg, "sampler"),
        group_options(run.cfg, "sampler"),
    )
    return trajectory(
        denoiser, sampler, spaced, shape=shape, seed=run.cfg.seed, indices=indices, labels=labels
    )


def check_colours(run: Run, samples: Bytes) -> None:
    """Notes mean and contrast of the samples' channels and of the data's; warns where they differ in the second half of a run."""
    count = len(run.data.images)
    data = colour_statistics(
        select_images(run.data.images, torch.arange(0, count, math.ceil(count / ENOUGH)))
    )
    mean, own = data.mean(0), colour_statistics(samples).mean(0)
    apart = (own - mean).abs()
    names = [
        f"{kind}_{channel}"
        for kind in ("mean", "contrast")
        for channel in range(1, samples.shape[1] + 1)
    ]
    found = {name: round(number, 4) for name, number in zip(names, own.tolist(), strict=True)}
    usual = {name: round(number, 4) for name, number in zip(names, mean.tolist(), strict=True)}
    run.logger.row("samples.jsonl", {"step": run.state.step, **found, "data": usual})
    tinted = (apart > SURE * data.std(0, correction=0) / math.sqrt(len(samples))) & (
        apart > VISIBLE
    )
    if run.state.step >= max(EARLY, run.steps / 2) and tinted.any():
        name = names[int((apart * tinted).argmax())]
        told = f"{name} of the channels is {found[name]:.2f}, and {usual[name]:.2f} in the data (images from -1 to 1)"
        remedy = "train longer, or try schedule.zero_snr=true with model.predicts=v"
        log.warning(
            "warning: the samples at step %s are tinted: %s; %s",
            f"{run.state.step:,}",
            told,
            remedy,
        )


def colour_statistics(images: Bytes) -> Features:
    """Mean of every channel of each image, then the standard deviation of each."""
    pixels = to_float(images).flatten(2)
    return torch.cat([pixels.mean(2), pixels.std(2, correction=0)], dim=1)


def write_data_pictures(run: Run) -> None:
    """`data.png`: a batch as the network sees it; `forward.png`: eight images (rows) at growing noise, the clean image first."""
    first, diffusion = run.batch(0), run.state.denoiser.diffusion
    run.logger.picture("data.png", grid(first.images[:64]), 0)
    x0 = to_float(first.images[:8])
    eps = initial_noise(x0.shape[1:], run.cfg.seed, range(len(x0)))
    times = [0, *torch.linspace(1, diffusion.steps, NOISE_LEVELS - 1).round().tolist()]
    columns = torch.stack([diffusion.add_noise(x0, eps, t) for t in times], dim=1)
    run.logger.picture(
        "forward.png", grid(to_bytes(columns.flatten(0, 1)), columns=NOISE_LEVELS), 0
    )
