"""Denoising diffusion implicit models, and their inverse."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from ddpm_cli.diffusion import GaussianDiffusion, broadcast_like
from ddpm_cli.samplers.contract import Denoise, Noise
from ddpm_cli.shapes import Images


def ddim(
    denoise: Denoise,
    diffusion: GaussianDiffusion,
    x: Images,
    times: Sequence[float],
    noise: Noise,
    *,
    eta: float = 0.0,
) -> Iterator[Images]:
    """Steps from x_t to x_s by (Song et al. 2020, eq. 12): deterministic at eta = 0, ancestral at 1.

    With the added noise of eta it is what other codes call `euler_ancestral`, written in x / alpha and sigma / alpha.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"sampler.eta must be between 0 and 1, but is {eta}")
    for t, s in pairwise(times):
        x0 = denoise(x, t).x0
        eps = diffusion.noise_in(x, x0, t)
        variance = eta**2 * diffusion.posterior_variance(t, s)
        kept = (1 - diffusion.alpha_bar_at(s) - variance).clamp(min=0)
        x = (
            broadcast_like(diffusion.alpha_bar_at(s).sqrt(), x) * x0
            + broadcast_like(kept.sqrt(), x) * eps
        )
        if eta > 0 and s > 0:
            x = x + broadcast_like(variance.sqrt(), x) * noise(x)
        yield x


def inverse(
    denoise: Denoise,
    diffusion: GaussianDiffusion,
    x: Images,
    times: Sequence[float],
    *,
    rounds: int,
) -> Iterator[Images]:
    """From an image to the noise that DDIM makes it of: the steps of `ddim` at eta = 0 undone, over strictly rising times >= 1.

    A step solves x_s = ddim(x_t) for x_t by rounds of fixed-point iteration. One round is Euler's (Song et al. 2020, section 4.3), which
    takes the estimate at x_s for that at x_t; a second makes that good. More may lead astray where steps of the noise level are large.
    """
    for s, t in pairwise(times):
        guess, at = x, s
        for _ in range(rounds):
            guess, at = diffusion.ddim_step(denoise(guess, at).x0, x, s, t), t
        x = guess
        yield x
