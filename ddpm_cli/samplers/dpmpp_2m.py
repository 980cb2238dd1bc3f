"""DPM-Solver++ of second order, multistep, for the ODE and the SDE."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from ddpm_cli.diffusion import GaussianDiffusion, broadcast_like
from ddpm_cli.samplers.contract import Denoise, Noise
from ddpm_cli.shapes import Coefficient, Images


def dpmpp_2m(
    denoise: Denoise,
    diffusion: GaussianDiffusion,
    x: Images,
    times: Sequence[float],
    noise: Noise,
    *,
    eta: float = 0.0,
    lower_order_final: bool = True,
) -> Iterator[Images]:
    """DPM-Solver++(2M) (Lu et al. 2022, algorithm 2) at eta = 0, its SDE (v2, eq. 19) at eta = 1.

    lower_order_final: whether the last step is of first order and returns the last estimate at time
    0. Otherwise the last step extrapolates the estimate, as if it ended at time 1.
    """
    if not 0 <= eta <= 1:
        raise ValueError(f"sampler.eta must be between 0 and 1, but is {eta}")
    earlier: tuple[Images, Coefficient] | None = None
    for t, s in pairwise(times):
        x0, here = denoise(x, t).x0, diffusion.log_snr(t) / 2
        ahead = x0
        if earlier is not None and not (lower_order_final and s == times[-1]):
            ratio = (diffusion.log_snr(max(s, 1)) / 2 - here) / (here - earlier[1])
            ahead = x0 + broadcast_like(0.5 * ratio, x) * (x0 - earlier[0])
        alpha, sigma = diffusion.alpha_bar_at(s).sqrt(), (1 - diffusion.alpha_bar_at(s)).sqrt()
        decay = (here - diffusion.log_snr(s) / 2).exp()
        on_x = sigma / (1 - diffusion.alpha_bar_at(t)).sqrt() * decay**eta
        on_x0 = alpha * (1 - decay ** (1 + eta))
        x = broadcast_like(on_x, x) * x + broadcast_like(on_x0, x) * ahead
        if eta > 0 and s > 0:
            x = x + broadcast_like(sigma * (1 - decay ** (2 * eta)).sqrt(), x) * noise(x)
        earlier = x0, here
        yield x
