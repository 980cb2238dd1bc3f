"""Pictures of a run: its data, their noising, and previews of samples with a check of colours."""

import logging
import math
from collections.abc import Iterator
from dataclasses import replace

import torch

from ddpm_cli.commands.train.run import Run
from ddpm_cli.commands.train.validation import write_held_out
from ddpm_cli.config.auto import is_digits
from ddpm_cli.evaluation.colours import compare_colours
from ddpm_cli.generation.build import load_guide
from ddpm_cli.generation.generator import Generator, Noises
from ddpm_cli.generation.guidance import preview_options
from ddpm_cli.images import to_bytes, to_float
from ddpm_cli.recipes.choice import images_to_see
from ddpm_cli.recipes.facts import Facts
from ddpm_cli.recipes.passes import passes_text
from ddpm_cli.rendering.tiles import grid
from ddpm_cli.run_folder.layout import DATA, FORWARD, GRID, SAMPLES
from ddpm_cli.run_folder.pictures import PREVIEWS
from ddpm_cli.samplers import final_state
from ddpm_cli.shapes import Bytes, Images

EARLY = 500  # steps before which the colours of samples mean nothing
NOISE_LEVELS = 10
log = logging.getLogger(__name__)


@torch.no_grad()
def write_preview(run: Run) -> None:
    """Write a grid of the EMA's samples, from the same noise at every step of the run."""
    images = final_state(preview_trajectory(run))
    samples = torch.cat(run.group.all_gather(to_bytes(images).cpu()))
    step = run.state.step
    run.logger.write_picture(GRID.format(step), grid(samples.numpy()), step)
    if run.group.rank == 0:
        record_colours(run, samples)


def write_due_preview(run: Run) -> None:
    """Write a preview and the held-out losses at the steps of a cadence, and the first preview."""
    step = run.state.step
    if step % run.cadences.sample_every == 0 or step == run.first_preview:
        write_preview(run)
        write_held_out(run)


def expected_pictures(run: Run, steps: int) -> str:
    """What is to be expected of a run of too few passes over its images; "" of others."""
    if not run.epoch_size or is_digits(run.cfg):
        return ""
    return passes_text(run.epoch_size, steps * run.trainer.batch_size)


def steps_to_train(run: Run) -> int:
    """The steps in all that a run should have, by the number of its images."""
    return math.ceil(images_to_see(Facts(run.epoch_size)) / run.trainer.batch_size)


def preview_trajectory(run: Run) -> Iterator[Images]:
    """Yield this process's share of the previewed samples, at the start and after every step."""
    indices = range(PREVIEWS)[run.group.slice_of(PREVIEWS)]
    if not indices:
        return iter([torch.empty(0, *run.data.images.shape[1:])])
    return ema_generator(run).trajectory(indices)


def ema_generator(run: Run) -> Generator:
    """The generator of the EMA's samples, with the options of previews."""
    denoiser = replace(run.state.denoiser, network=run.evaluation_networks[0])
    options = preview_options(run.cfg, denoiser.conditional)
    of_images, trust = (list(run.data.images.shape[1:]), run.data.classes), list(run.cfg.trust)
    guide = load_guide(options, denoiser, *of_images, run.trainer.device, trust)
    return Generator.from_config(run.cfg, denoiser, options, *of_images, guide)


def record_colours(run: Run, samples: Bytes) -> None:
    """Write mean and contrast of the samples' channels beside those of the data.

    A tint in the second half of a run causes a warning.
    """
    step, colours = run.state.step, compare_colours(samples, run.data.images)
    run.logger.write_row(SAMPLES, {"step": step, **colours.samples, "data": colours.data})
    if step >= max(EARLY, run.steps / 2) and colours.tint:
        remedy = "train longer, or try schedule.zero_snr=true with model.predicts=v"
        text = f"the samples at step {step:,} are tinted: {colours.tint_text}; {remedy}"
        log.warning("warning: %s", text)


def write_data_pictures(run: Run) -> None:
    """Write `data.png`, a batch as the network sees it, and `forward.png`, a batch noised.

    Each of eight rows of `forward.png` shows a clean image, then the image at growing noise.
    """
    batch, diffusion = run.batch(0).images, run.state.denoiser.diffusion
    run.logger.write_picture(DATA, grid(batch[:64].numpy()), 0)
    x0 = to_float(batch[:8])
    eps = Noises.keyed(x0.shape[1:], run.cfg.seed, range(len(x0)), x0.device).start
    times = [0, *torch.linspace(1, diffusion.steps, NOISE_LEVELS - 1).round().tolist()]
    columns = torch.stack([diffusion.add_noise(x0, eps, t) for t in times], dim=1)
    rows = to_bytes(columns.flatten(0, 1)).numpy()
    run.logger.write_picture(FORWARD, grid(rows, columns=NOISE_LEVELS), 0)
