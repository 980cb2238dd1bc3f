"""Whether the schedule and a batch suit training."""

from collections.abc import Iterator

from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.preflight.finding import Finding
from ddpm_cli.shapes import Bytes

ENDING_SNR, CONTRAST = 1e-3, 64


def check_schedule(diffusion: GaussianDiffusion) -> Iterator[Finding]:
    """Check that the process ends in noise, from which sampling starts."""
    snr = diffusion.snr(diffusion.steps).item()
    if snr > ENDING_SNR:
        risk = "sampling starts from pure noise, which training never saw: expect tints"
        reason = f"the SNR at the end is {snr:.1e}, above {ENDING_SNR:.0e}"
        remedy = "use schedule=cosine or a larger schedule.last"
        yield Finding("warning", f"{risk}; {reason}: {remedy}")
    else:
        betas = 1 - diffusion.alpha_bar[1:] / diffusion.alpha_bar[:-1]
        facts = f"betas from {betas.min():.1e} to {betas.max():.2g}, SNR {snr:.1e} at the end"
        yield Finding("ok", f"the schedule ends in noise: {facts}")


def check_batch_images(batch: Bytes) -> Iterator[Finding]:
    """Check that a batch looks like images from which a network can learn."""
    count, low, high = len(batch), int(batch.min()), int(batch.max())
    pixels = batch.flatten(2)
    plain = int((pixels.amin(2) == pixels.amax(2)).all(1).sum())
    different = len({image.numpy().tobytes() for image in batch})
    grey = batch.shape[1] == 3 and bool((batch == batch[:, :1]).all())
    contrast = f"a batch has bytes {low} to {high} of 0 to 255: little contrast"
    warnings = {
        f"{plain} of {count} images in a batch are of one colour": plain > 0,
        f"{count - different} of {count} images in a batch are copies of others": count > different,
        f"{contrast}, or images on another scale": high - low < CONTRAST,
        "all images in a batch are grey: data.channels=1 is enough": grey,
    }
    for text, applies in warnings.items():
        if applies:
            yield Finding("warning", text)
    if not any(warnings.values()):
        facts = f"{count} different images, none of one colour, bytes {low} to {high}"
        yield Finding("ok", f"a batch has {facts}")
