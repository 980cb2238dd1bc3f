"""The Gaussian diffusion process in closed form: no network, no randomness.

q is the forward process, which adds noise; p, elsewhere, is the learned reverse process. A time is
0 (the clean image) or a real number in [1, T]. A reverse step is a pair (t, s) with any s < t. At
integers alpha_bar is the table; between integers log SNR is linear in t.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ddpm_cli.hardware import to_device
from ddpm_cli.shapes import AlphaBar, Betas, Coefficient, Fitted, Images, Time


def broadcast_like(coefficient: Coefficient, like: Images) -> Fitted:
    """A float64 coefficient with the dtype, device and number of axes of `like`.

    A number (0-dim) stays on its device, because kernels take a number on the CPU by value.
    """
    coefficient = coefficient.to(like.dtype)
    if not coefficient.ndim:
        return coefficient
    return to_device(coefficient.view(-1, *[1] * (like.ndim - 1)), like.device)


def float64_device(device: torch.device) -> torch.device:
    """The device that computes in float64 beside `device`: itself, or the CPU for MPS."""
    return torch.device("cpu") if device.type == "mps" else device


def as_times(t: Time) -> Tensor:
    """A number as a float64 tensor, the dtype of the tables; a tensor unchanged."""
    return t if isinstance(t, Tensor) else torch.tensor(t, dtype=torch.float64)


@dataclass(frozen=True)
class GaussianDiffusion:
    """x_t = alpha_t x_0 + sigma_t eps; alpha_t^2 = alpha_bar_t and sigma_t^2 = 1 - alpha_bar_t.

    alpha_bar: T + 1 numbers; alpha_bar[0] = 1. steps: T.
    Methods take times as a number or a vector [B]. They return float64 coefficients on the device
    of the times (on the CPU for a number), or images with dtype and device of their arguments.
    """

    alpha_bar: AlphaBar
    steps: int

    @classmethod
    def from_betas(cls, betas: Betas) -> "GaussianDiffusion":
        """The process of beta_1..beta_T in (0, 1); the last may be 1 (zero terminal SNR)."""
        low, high = betas.min().item(), betas.max().item()
        if len(betas) < 2:
            raise ValueError(f"steps must be at least 2, but is {len(betas)}")
        if not (low > 0 and betas[:-1].max() < 1 and high <= 1):
            raise ValueError(
                f"betas must lie between 0 and 1, but run from {low:.3g} to {high:.3g}"
            )
        return cls(torch.cat([betas.new_ones(1), (1 - betas).cumprod(0)]), len(betas))

    @cached_property
    def tables(self) -> dict[torch.device, tuple[AlphaBar, AlphaBar]]:
        """alpha_bar and its log SNR on each device that has been asked for a coefficient."""
        return {}

    def alpha_bar_at(self, t: Time) -> Coefficient:
        """alpha_bar at the times `t`; only this method reads the table.

        Integer times, those of training, take one operation and nothing from the host.
        """
        t = as_times(t)
        if t.device not in self.tables:
            each = self.alpha_bar, torch.logit(self.alpha_bar)
            self.tables[t.device] = each[0].to(t.device), each[1].to(t.device)
        table, log_snr = self.tables[t.device]
        if not t.is_floating_point():
            return table[t]
        t = t.double()
        assert t.device.type != "cpu" or (
            ((t == 0) | (t >= 1)).all() and (t <= self.steps).all()
        ), f"no times of this process: {t}"
        low = t.floor().long()
        between = log_snr[low] * (low + 1 - t) + log_snr[t.ceil().long()] * (t - low)
        return torch.where(t == low, table[low], between.sigmoid())

    at = alpha_bar_at  # a short name for users' own modules

    def snr(self, t: Time) -> Coefficient:
        """The signal-to-noise ratio alpha_t^2 / sigma_t^2."""
        alpha_bar = self.alpha_bar_at(t)
        return alpha_bar / (1 - alpha_bar)

    def log_snr(self, t: Time) -> Coefficient:
        """The logarithm of the signal-to-noise ratio: infinite at time 0."""
        return torch.logit(self.alpha_bar_at(t))

    def level(self, t: Time) -> Coefficient:
        """The noise level sigma_t / alpha_t: 0 at time 0, infinite where the SNR is 0."""
        return self.snr(t).rsqrt()

    def time_of(self, log_snr: Coefficient) -> Coefficient:
        """The inverse of `log_snr`: the real time in [1, T], or the nearer end."""
        falling = torch.logit(self.alpha_bar)[1:]
        high = torch.searchsorted(-falling, -log_snr).clamp(1, self.steps - 1)
        start, end = falling[high - 1], falling[high]
        between = ((start - log_snr) / (start - end)).clamp(0, 1)
        # No arithmetic works with an infinite end.
        return high + between.where(log_snr > end, torch.ones_like(between))

    def scales(self, t: Time, like: Images) -> tuple[Fitted, Fitted]:
        """(alpha_t, sigma_t) as factors of images like `like`."""
        alpha_bar = self.alpha_bar_at(t)
        return broadcast_like(alpha_bar.sqrt(), like), broadcast_like((1 - alpha_bar).sqrt(), like)

    def add_noise(self, x0: Images, eps: Images, t: Time) -> Images:
        """x_t ~ q(x_t | x_0) with the noise `eps` (Ho et al. 2020, eq. 4)."""
        alpha, sigma = self.scales(t, x0)
        return alpha * x0 + sigma * eps

    def noise_in(self, x_t: Images, x0: Images, t: Time) -> Images:
        """The eps that leads from `x0` to `x_t`."""
        alpha, sigma = self.scales(t, x_t)
        return (x_t - alpha * x0) / sigma

    def ddim_step(self, x0: Images, x_t: Images, t: Time, s: Time) -> Images:
        """x_s with the x_0 and eps of x_t, s < t or s > t (Song et al. 2020, eq. 12, sigma 0)."""
        now, then = self.alpha_bar_at(t), self.alpha_bar_at(s)
        on_x_t = ((1 - then) / (1 - now)).sqrt()
        on_x0 = then.sqrt() - on_x_t * now.sqrt()
        return broadcast_like(on_x_t, x_t) * x_t + broadcast_like(on_x0, x_t) * x0

    def variance(self, t: Time, s: Time) -> Coefficient:
        """beta of the step: the variance of q(x_t | x_s)."""
        return 1 - self.alpha_bar_at(t) / self.alpha_bar_at(s)

    def posterior_variance(self, t: Time, s: Time) -> Coefficient:
        """beta-tilde of the step: the variance of q(x_s | x_t, x_0) (Ho et al. 2020, eq. 7).

        It is 0 at s = 0.
        """
        now, then = self.alpha_bar_at(t), self.alpha_bar_at(s)
        return (1 - then) / (1 - now) * (1 - now / then)

    def posterior_mean(self, x0: Images, x_t: Images, t: Time, s: Time) -> Images:
        """The mean of q(x_s | x_t, x_0) (Ho et al. 2020, eq. 7)."""
        now, then = self.alpha_bar_at(t), self.alpha_bar_at(s)
        on_x0 = then.sqrt() * (1 - now / then) / (1 - now)
        on_x_t = (now / then).sqrt() * (1 - then) / (1 - now)
        return broadcast_like(on_x0, x_t) * x0 + broadcast_like(on_x_t, x_t) * x_t

    def log_variance(
        self, t: Time, s: Time, variance_interpolation: float | Images, like: Images
    ) -> Fitted:
        """log of the reverse variance, from beta-tilde (interpolation 0) to beta (1).

        Nichol & Dhariwal 2021, eq. 15. beta-tilde is 0 at s = 0: like the codes of both papers,
        the method takes beta-tilde of the step (2, 1) instead, which is there the variance of every
        fixed interpolation.
        """
        t, s = as_times(t), as_times(s)
        clean = s == 0
        before = t.where(~clean, t.clamp(min=2)), s.where(~clean, torch.ones_like(s))
        small, large = self.posterior_variance(*before).log(), self.variance(t, s).log()
        if isinstance(variance_interpolation, float):
            large = torch.where(clean, small, large)
        spread = broadcast_like(large - small, like)
        return broadcast_like(small, like) + variance_interpolation * spread
