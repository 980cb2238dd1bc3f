"""The check that a schedule ends in noise."""

from collections.abc import Iterator

from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.preflight.finding import Finding

ENDING_SNR = 1e-3  # a higher SNR at the end causes a warning


def check_schedule(diffusion: GaussianDiffusion) -> Iterator[Finding]:
    """Check that the diffusion process ends in noise, from which sampling starts."""
    snr = diffusion.snr(diffusion.steps).item()
    if snr > ENDING_SNR:
        risk = "sampling starts from pure noise, which training never saw: expect tints"
        reason = f"the SNR at the end is {snr:.1e}, above {ENDING_SNR:.0e}"
        remedy = "use schedule=cosine or a larger schedule.last"
        yield Finding("warning", f"{risk}; {reason}: {remedy}")
    else:
        betas = 1 - diffusion.alpha_bar[1:] / diffusion.alpha_bar[:-1]
        detail = f"betas from {betas.min():.1e} to {betas.max():.2g}, SNR {snr:.1e} at the end"
        yield Finding("ok", f"the schedule ends in noise: {detail}")
