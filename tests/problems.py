"""Problems with known answers: a deterministic dummy, and oracles that know noise or data."""

import math
from dataclasses import replace

import torch
from torch import nn

from ddpm_cli.denoiser import Estimate

COUNT = 4 * 3 * 8 * 8


class Dummy(nn.Module):
    """x t / (t + 1), with the 0-based t that networks are fed."""

    def forward(self, x, t, label=None):
        t = t[:, None, None, None]
        return x * t / (t + 1)


class Answer(nn.Module):
    """A network that answers the same whatever it is asked."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, x, t, label=None):
        return self.answer


class Recorder(nn.Module):
    """A network that answers 0 and keeps the times it is asked for."""

    def __init__(self):
        super().__init__()
        self.times = []

    def forward(self, x, t, label=None):
        self.times += t.tolist()
        return torch.zeros_like(x)


def ramp(values):
    """The dummy problem's images, of a range and its reverse."""
    return (values.reshape(3, 8, 8, 4) / COUNT).permute(3, 0, 1, 2).contiguous()


def dummy_images():
    return ramp(torch.arange(COUNT, dtype=torch.float32))


def dummy_noise():
    return ramp(torch.arange(COUNT, dtype=torch.float32).flip(-1))


def gaussian_oracle(diffusion, mean=0.3, variance=0.25):
    """The optimal denoiser of data N(mean, variance)."""

    def denoise(x, t, label=None):
        alpha_bar = diffusion.alpha_bar_at(t)
        eps = (
            (1 - alpha_bar).sqrt()
            * (x - alpha_bar.sqrt() * mean)
            / (alpha_bar * variance + 1 - alpha_bar)
        )
        return Estimate(eps, (x - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt(), 0.0)

    return denoise


def gaussian_reverse(diffusion, variance):
    """The optimal denoiser of data N(0, variance), with the variance of its own reverse steps."""
    denoise = gaussian_oracle(diffusion, 0.0, variance)

    def estimate(x, t, label=None):
        s, alpha_bar = math.ceil(t) - 1, diffusion.alpha_bar_at(t)
        unsure = variance * (1 - alpha_bar) / (alpha_bar * variance + 1 - alpha_bar)
        step = (
            diffusion.posterior_variance(t, s)
            + unsure * diffusion.alpha_bar_at(s) * (diffusion.variance(t, s) / (1 - alpha_bar)) ** 2
        )
        ends = torch.zeros_like(x).double(), torch.ones_like(x).double()
        small, large = (diffusion.log_variance(t, s, end, end) for end in ends)
        return replace(denoise(x, t), variance_interpolation=(step.log() - small) / (large - small))

    return estimate


def correlated_oracle(diffusion, covariance):
    """The optimal denoiser of images N(0, covariance)."""

    def denoise(x, t, label=None):
        alpha_bar, whole = diffusion.alpha_bar_at(t), torch.eye(len(covariance), dtype=x.dtype)
        gain = (
            alpha_bar.sqrt()
            * covariance
            @ torch.linalg.inv(alpha_bar * covariance + (1 - alpha_bar) * whole)
        )
        return Estimate(x, (x.flatten(1) @ gain.T).view_as(x), 0.0)

    return denoise


def constant_oracle(x0):
    """A denoiser that is sure of x0."""
    return lambda x, t, label=None: Estimate(x, x0.expand_as(x), 0.0)


def filled(module):
    """Fills every parameter by a rule that depends on shapes alone."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            waves = torch.sin(torch.arange(1, parameter.numel() + 1, dtype=torch.float64)).reshape(
                parameter.shape
            )
            kinds = {
                True: waves / math.sqrt(parameter[0].numel()),
                False: 0.1 * waves + float(name.endswith("weight")),
            }
            parameter.copy_(kinds[parameter.ndim > 1])
    return module


def wave(*shape):
    """cos(0.37 i) in a shape."""
    return (
        torch.cos(0.37 * torch.arange(math.prod(shape), dtype=torch.float64)).reshape(shape).float()
    )
