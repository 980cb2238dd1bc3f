"""Validation: losses of held-out and training images on fixed noise, and the verdict."""

from contextlib import nullcontext
from dataclasses import replace

import torch
from torch.nn import functional as F

from ddpm_cli.commands.train.run import Run
from ddpm_cli.console import fact
from ddpm_cli.parallel import unwrap
from ddpm_cli.reports.held_out import FEWEST, held_out_picture
from ddpm_cli.run_folder.layout import HELD_OUT
from ddpm_cli.seeds import MAX_STEPS
from ddpm_cli.shapes import Fixed
from ddpm_cli.training import fixed_losses
from ddpm_cli.training.verdict import LEVELS


def validation_losses(run: Run) -> dict[str, Fixed]:
    """The losses of the EMA, then of the network, for each set of images."""
    denoiser, size = run.state.denoiser, run.trainer.microbatch or run.trainer.batch_size
    network = unwrap(denoiser.network).eval()
    both = [replace(denoiser, network=each) for each in run.evaluation_networks]
    keys = {"held_out": MAX_STEPS, "training": MAX_STEPS + 1}  # steps that no training reaches
    options = {"seed": run.cfg.seed, "size": size, "group": run.group}
    # compiling for this size of batch would take longer
    with torch.compiler.set_stance("force_eager") if run.trainer.compile else nullcontext():
        losses = {
            name: fixed_losses(both, run.loss, data, key=keys[name], **options)
            for name, data in (("held_out", run.held_out), ("training", run.data))
            if len(data.images)
        }
    network.train()
    return losses


def validate(run: Run) -> dict[str, float]:
    """Validate, and return the numbers; if images are held out, update the verdict."""
    losses, numbers = validation_losses(run), dict[str, float]()
    for name, (ema, network) in losses.items():
        quarters = {f"{name}_q{place}": each for place, each in enumerate(ema.mean(1).tolist(), 1)}
        numbers |= {name: ema.mean().item(), f"{name}_raw": network.mean().item(), **quarters}
    if "held_out" in losses:
        update_verdict(run, losses["held_out"], losses["training"])
    return numbers


def update_verdict(run: Run, held_out: Fixed, training: Fixed) -> None:
    """Update the verdict by a validation; log the verdict if it changes."""
    verdict, step = run.state.verdict, run.state.step
    if verdict.judge(step, held_out[0].mean(0), training[0].mean(0), run.cadences.evaluate_every):
        fact("learning", verdict.summary(run.trainer.best))
    verdict.add_column(step, F.adaptive_avg_pool1d(held_out[:1].flatten(1).float(), LEVELS))


def write_held_out(run: Run) -> None:
    """Write the picture of the held-out losses, if there are enough validations."""
    verdict = run.state.verdict
    if len(verdict.by_time) >= FEWEST and run.logger.writes:
        times = run.state.denoiser.diffusion.steps
        picture = held_out_picture(verdict.column_steps, verdict.by_time, times)
        run.logger.write_picture(HELD_OUT, picture, run.state.step)
