"""What will be trained, on what, and for how long."""

import logging

from ddpm_cli.commands.train.run import Run
from ddpm_cli.parallel import device_text

log = logging.getLogger(__name__)


def log_summary(run: Run) -> None:
    """Says what will be trained, on what, for how long."""
    trainer, denoiser, steps = run.trainer, run.state.denoiser, run.steps
    log.info("device    %s", device_text(denoiser.device, trainer.parallel, run.group))
    log.info("data      %s", data_text(run))
    log.info(
        "schedule  %s steps, SNR %.1e at the end",
        f"{denoiser.diffusion.steps:,}",
        denoiser.diffusion.snr(denoiser.diffusion.steps),
    )
    parameters = sum(each.numel() for each in denoiser.network.parameters())
    told = (
        f"conditional on {len(run.data.classes)} classes"
        if denoiser.conditional
        else "unconditional"
    )
    log.info("model     %s parameters, predicts %s, %s", f"{parameters:,}", denoiser.predicts, told)
    why = (
        ""
        if trainer.epochs is None
        else f" (trainer.epochs={trainer.epochs} takes the place of trainer.steps)"
    )
    why = why if trainer.minutes is None else f" (set by trainer.minutes={trainer.minutes:g})"
    epochs = f", {steps * trainer.batch_size / run.count:.1f} epochs" if run.count else ""
    log.info("length    %s steps of %s images%s%s", f"{steps:,}", trainer.batch_size, epochs, why)


def data_text(run: Run) -> str:
    """How many images there are, of what kind, and how many are held out."""
    (count, channels, height, width), out = run.data.images.shape, len(run.held_out.images)
    size = f"{height} x {width}, {channels} channels, {len(run.data.classes) or 'no'} classes"
    if run.rows is None:
        return f"{count:,} images, {size}; {out:,} more are held out"
    many = f"about {run.count:,}" if run.count else "an unknown number of"
    return f"{many} images, streamed, {size}; {out:,} of the first {count + out:,} are held out"


def log_sample_metrics(run: Run) -> None:
    """Says what is measured, and finds the features of the training images."""
    if run.trainer.measures and run.group.is_first:
        told = f"{', '.join(run.trainer.measures)} of {run.trainer.measure_images:,} samples every {run.trainer.measure_every:,} steps"
        log.info(
            "measures  %s, against %s training images", told, f"{len(run.sample_metrics.images):,}"
        )
        for name, reference in run.sample_metrics.references.items():
            log.info(
                "features  %s of each by %s",
                f"{reference.features.shape[1]:,}",
                run.sample_metrics.extractors[name].name,
            )
