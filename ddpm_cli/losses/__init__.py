"""Losses: functions or modules (denoiser, batch) -> loss per image [B]."""

from ddpm_cli.losses.batch import Loss, Noised, per_image
from ddpm_cli.losses.bound import (
    Distribution,
    bound,
    discrete_log_likelihood,
    hybrid,
    normal_cdf,
    tanh_cdf,
    vlb,
)
from ddpm_cli.losses.simple import huber, l1, l2
from ddpm_cli.losses.uncertain import Uncertain
from ddpm_cli.losses.weighted import min_snr, p2, weighted_distance
