"""What will be trained, on what, and for how long."""

from ddpm_cli.commands.train.run import Run
from ddpm_cli.console import fact
from ddpm_cli.parallel import device_text


def run_texts(run: Run) -> dict[str, str]:
    """Device, data, schedule, model and length of a run, each in words."""
    trainer, denoiser, steps = run.trainer, run.state.denoiser, run.steps
    diffusion, classes = denoiser.diffusion, len(run.data.classes)
    (count, channels, height, width), out = run.data.images.shape, len(run.held_out.images)
    size = f"{height} x {width}, {channels} channels, {classes or 'no'} classes"
    if run.rows is None:
        data = f"{count:,} images, {size}; {out:,} more are held out"
    else:
        many = f"about {run.epoch_size:,}" if run.epoch_size else "an unknown number of"
        data = f"{many} images, streamed, {size}; {out:,} of the first {count + out:,} are held out"
    parameters = sum(each.numel() for each in denoiser.network.parameters())
    kind = f"conditional on {classes} classes" if denoiser.conditional else "unconditional"
    epochs = f", {steps * trainer.batch_size / run.epoch_size:.1f} epochs" if run.epoch_size else ""
    why = ""
    if trainer.epochs is not None:
        why = f" (trainer.epochs={trainer.epochs} takes the place of trainer.steps)"
    if trainer.minutes is not None:
        why = f" (set by trainer.minutes={trainer.minutes:g})"
    snr = diffusion.snr(diffusion.steps)
    return {
        "device": device_text(denoiser.device, trainer.parallel, run.group),
        "data": data,
        "schedule": f"{diffusion.steps:,} steps, SNR {snr:.1e} at the end",
        "model": f"{parameters:,} parameters, predicts {denoiser.predicts}, {kind}",
        "length": f"{steps:,} steps of {trainer.batch_size} images{epochs}{why}",
    }


def log_sample_metrics(run: Run) -> None:
    """Log which metrics of samples are measured, and extract the features of training images."""
    trainer, metrics = run.trainer, run.sample_metrics
    if not trainer.measures or not run.group.is_first:
        return
    of = f"of {trainer.measure_images:,} samples every {trainer.measure_every:,} steps"
    against = f"against {len(metrics.images):,} training images"
    fact("measures", f"{', '.join(trainer.measures)} {of}, {against}")
    for name, reference in metrics.references.items():
        count = reference.features.shape[1]
        fact("features", f"{count:,} of each by {metrics.extractors[name].name}")
