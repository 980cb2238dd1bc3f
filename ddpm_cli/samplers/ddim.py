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
    """Step from x_t to x_s by Song et al. 2020, eq. 12: deterministic for eta = 0, ancestral for 1.

    For eta > 0, other codes call this sampler `euler_ancestral`, in x / alpha and sigma / alpha.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"sampler.eta must be between 0 and 1, but is {eta}")
    for t, s in pairwise(times):
        x0 = denoise(x, t).x0
        eps = diffusion.noise_in(x, x0, t)
        variance = eta**2 * diffusion.posterior_variance(t, s)
        alpha_bar = diffusion.alpha_bar_at(s)
        on_x0, on_eps = alpha_bar.sqrt(), (1 - alpha_bar - variance).clamp(min=0).sqrt()
        x = broadcast_like(on_x0, x) * x0 + broadcast_like(on_eps, x) * eps
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
    """Invert `ddim` at eta = 0, from an image to its noise, over strictly rising times >= 1.

    A step solves x_s = ddim(x_t) for x_t by rounds of fixed-point iteration. The first round is
    Euler's step (Song et al. 2020, section 4.3), with the estimate at x_s instead of x_t's. The
    second round corrects the step. More rounds may diverge if the noise level takes large steps.
    """
    for s, t in pairwise(times):
        guess, at = x, s
        for _ in range(rounds):
            guess, at = diffusion.ddim_step(denoise(guess, at).x0, x, s, t), t
        x = guess
        yield x
