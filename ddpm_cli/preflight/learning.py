"""Whether the schedule and a batch are what can be learned from."""

from collections.abc import Iterator

from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.preflight.finding import Finding
from ddpm_cli.shapes import Bytes

ENDING_SNR, CONTRAST, EXACT = 1e-3, 64, 1e-6


def check_schedule(diffusion: GaussianDiffusion) -> Iterator[Finding]:
    """Whether the process ends in noise, from which sampling starts."""
    snr = diffusion.snr(diffusion.steps).item()
    if snr > ENDING_SNR:
        remedy = f"the SNR at the end is {snr:.1e}, above {ENDING_SNR:.0e}: use schedule=cosine or a larger schedule.last"
        yield Finding(
            "warning",
            f"sampling starts from pure noise, which training never saw: expect tints; {remedy}",
        )
    else:
        betas = 1 - diffusion.alpha_bar[1:] / diffusion.alpha_bar[:-1]
        yield Finding(
            "ok",
            f"the schedule ends in noise: betas from {betas.min():.1e} to {betas.max():.2g}, SNR {snr:.1e} at the end",
        )


def check_batch_images(batch: Bytes) -> Iterator[Finding]:
    """Whether a batch looks like images that can be learned from."""
    count, low, high = len(batch), int(batch.min()), int(batch.max())
    flat = batch.flatten(2)
    plain, different = (
        int((flat.amin(2) == flat.amax(2)).all(1).sum()),
        len({each.numpy().tobytes() for each in batch}),
    )
    wrong = {
        f"{plain} of {count} images in a batch are of one colour": plain,
        f"{count - different} of {count} images in a batch are copies of others": count > different,
        f"a batch has bytes {low} to {high} of 0 to 255: little contrast, or images on another scale": high
        - low
        < CONTRAST,
        "all images in a batch are grey: data.channels=1 is enough": batch.shape[1] == 3
        and bool((batch == batch[:, :1]).all()),
    }
    yield from (Finding("warning", text) for text, is_so in wrong.items() if is_so)
    if not any(wrong.values()):
        yield Finding(
            "ok", f"a batch has {count} different images, none of one colour, bytes {low} to {high}"
        )
