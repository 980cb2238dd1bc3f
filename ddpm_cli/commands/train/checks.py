"""The preflight of a training run: errors stop it, warnings are logged once."""

import logging
import time
from collections.abc import Iterator
from dataclasses import replace

from ddpm_cli import preflight
from ddpm_cli.checkpoints import checked_fields
from ddpm_cli.commands.train.previews import ema_generator, expected_pictures
from ddpm_cli.commands.train.run import Run
from ddpm_cli.commands.train.time_budget import choose_cadences, measure_costs_briefly
from ddpm_cli.console import fact
from ddpm_cli.hardware import free_memory
from ddpm_cli.pace.costs import Costs
from ddpm_cli.preflight import Finding
from ddpm_cli.preflight.patience import check_patience
from ddpm_cli.preflight.resources import remaining_seconds
from ddpm_cli.run_folder.pictures import PREVIEWS
from ddpm_cli.shapes import Bytes
from ddpm_cli.training.fixed_noise_losses import IMAGES, QUARTERS

ORACLE_IMAGES = 8
FORWARD = 1 / 3  # the forward pass's share of the time of a step
log = logging.getLogger(__name__)


def preflight_findings(run: Run) -> Iterator[Finding]:
    """Yield the findings of all checks, cheapest first; no trial runs if no steps remain."""
    state, trainer, seed = run.state, run.trainer, run.cfg.seed
    few = run.batch(0, slice(ORACLE_IMAGES))
    end = run.steps if trainer.stop_at is None else min(run.steps, trainer.stop_at)
    yield from preflight.check_schedule(state.denoiser.diffusion)
    yield from preflight.check_attention(run.cfg, few.images.shape[1:])
    yield from preflight.check_image_sets([run.data, run.held_out])
    yield from preflight.check_batch_images(run.batch(0).images)
    if run.cfg.data.get("holdout"):
        yield from preflight.check_held_out(len(run.held_out.images), len(run.data.images))
    noise = {name: getattr(trainer, name) for name in ("offset_noise", "input_perturbation")}
    yield from preflight.check_oracle(state.denoiser, run.loss, few, seed, **noise)
    every, ema_every = run.cadences.checkpoint_every, trainer.snapshot_every(run.steps)
    yield from preflight.check_disk(run.folder, state, trainer, end, every, ema_every=ema_every)
    if end == 0:
        yield Finding("warning", "no step is to be trained: samples are noise")
    if state.step >= end:
        return
    fact("checking", "one step on this machine ...")
    trial = preflight.run_trial(trainer, state, run.loss, run.share[state.step], seed, run.group)
    yield from trial.findings
    if not any(finding.level == "error" for finding in trial.findings):
        free = free_memory(state.denoiser.device)
        yield from preflight.check_memory(state, trial.memory, free)
        if run.cadences_are_final:
            costs = expected_costs(run, trial.seconds, few.images)
        else:
            costs = measure_costs_briefly(run, trial.seconds)
            choose_cadences(run, costs)
        yield from preflight.estimate_time(state, end, costs, run.cadences)
        seconds = remaining_seconds(end - state.step, costs, run.cadences)
        if trainer.minutes is None and state.denoiser.device.type == "cpu":
            yield from check_patience(seconds, run.invocation)
        if expected := expected_pictures(run, end):
            yield Finding("estimate", expected)
        if often := run.cadences.text(run.steps, measures=bool(trainer.measures)):
            yield Finding(
                "estimate", f"{often}: {run.cadences.share(costs, run.steps):.0%} of the time"
            )


def expected_costs(run: Run, seconds: float, few: Bytes) -> Costs:
    """The costs of a run, derived from the seconds of a step. A checkpoint costs nothing.

    few: images on which the extraction of features is timed.
    """
    trainer, nfe = run.trainer, ema_generator(run).nfe
    forward = FORWARD * seconds / trainer.batch_size  # of an image
    images = sum(min(IMAGES, len(data.images)) for data in (run.held_out, run.data))
    costs = Costs(seconds, 2 * QUARTERS * images * forward, PREVIEWS * nfe * forward, save=0.0)
    if not trainer.measures:
        return costs
    began = time.perf_counter()
    run.sample_metrics.features(few)
    extraction = (time.perf_counter() - began) / len(few) / run.group.count
    return replace(costs, measurement=trainer.measure_images * (nfe * forward + extraction))


def run_checks(run: Run) -> None:
    """Log the warnings and the estimate. Raises ValueError if a check finds an error."""
    for finding in preflight_findings(run):
        if finding.level == "error":
            raise ValueError(finding.text)
        if finding.level == "warning":
            log.warning("warning: %s", finding.text)
        if finding.level == "estimate":
            fact("estimate", finding.text)
    try:
        checked_fields(run.snapshot())
    except ValueError as error:
        raise ValueError(f"no checkpoint could hold this run: {error}") from error
