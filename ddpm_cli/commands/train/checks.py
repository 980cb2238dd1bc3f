"""Preflight of a training run: its checks, cheapest first; errors stop it, warnings are told once."""

import logging
from collections.abc import Iterator
from dataclasses import replace

import torch

from ddpm_cli import preflight
from ddpm_cli.commands.train.held_out import evaluation_share
from ddpm_cli.commands.train.run import Run
from ddpm_cli.commands.train.time_budget import seconds_taken
from ddpm_cli.config.build import bind, group_options
from ddpm_cli.generation.trajectory import count_evaluations
from ddpm_cli.preflight import Finding
from ddpm_cli.run_folder.pictures import PREVIEWS
from ddpm_cli.shapes import Bytes

FEW = 8  # images are enough for the oracle
FORWARD = 1 / 3  # of the time of a step, which goes forward and backward
log = logging.getLogger(__name__)


def preflight_findings(run: Run) -> Iterator[Finding]:
    """What the checks find; without steps to go nothing is tried out."""
    state, few, stop_at = run.state, replace(run.share, part=slice(FEW))[0], run.trainer.stop_at
    end = run.steps if stop_at is None else min(run.steps, stop_at)
    yield from preflight.check_schedule(state.denoiser.diffusion)
    yield from preflight.check_image_sets([run.data, run.held_out])
    yield from preflight.check_batch_images(run.batch(0).images)
    if run.cfg.data.holdout and len(run.held_out.images) < 2:
        told = f"{len(run.held_out.images)} of {len(run.held_out.images) + len(run.data.images):,} images are held out"
        yield Finding(
            "warning",
            f"{told}: overfitting cannot be told of so few; choose a larger data.holdout, or 0 for none",
        )
    noise = {
        "offset_noise": run.trainer.offset_noise,
        "input_perturbation": run.trainer.input_perturbation,
    }
    yield from preflight.check_oracle(state.denoiser, run.loss, few, run.cfg.seed, **noise)
    yield from preflight.check_disk(run.folder, state, run.trainer, end)
    if state.step < end:
        part = run.share[state.step]
        trial = preflight.run_trial(run.trainer, state, run.loss, part, run.cfg.seed, run.group)
        yield from trial.findings
        if any(found.level == "error" for found in trial.findings):
            return
        yield from preflight.check_memory(state, trial.memory)
        yield from preflight.estimate_time(
            state, run.trainer, end, trial.seconds, cadence_costs(run, trial.seconds, few.images)
        )


def cadence_costs(run: Run, seconds: float, few: Bytes) -> dict[str, float]:
    """What is done beside the steps, by its cadence, in steps of so many seconds; the extraction of features is timed on a few images."""
    diffusion, pixel = run.state.denoiser.diffusion, torch.zeros(1, 1, 1, 1)
    times = group_options(run.cfg, "sampler").times(diffusion)
    asked = count_evaluations(
        lambda denoise: denoise, diffusion, bind(run.cfg, "sampler"), times, pixel
    )
    sample, extraction = (
        FORWARD * asked / run.trainer.batch_size,
        seconds_taken(lambda: run.sample_metrics.features(few)) / seconds / len(few),
    )
    measurement = (
        run.trainer.measure_images * (sample + extraction / run.group.count)
        if run.trainer.measures
        else 0.0
    )
    return {
        "sample_every": PREVIEWS * sample,
        "evaluate_every": FORWARD * evaluation_share(run),
        "measure_every": measurement,
    }


def run_checks(run: Run) -> None:
    """Tells what the user should know of; ValueError where the run would come to nothing."""
    for found in preflight_findings(run):
        if found.level == "error":
            raise ValueError(found.text)
        if found.level == "warning":
            log.warning("warning: %s", found.text)
        if found.level == "estimate":
            log.info("estimate  %s", found.text)
