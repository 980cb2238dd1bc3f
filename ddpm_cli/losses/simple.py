"""The error of the network's output, equal at all times: L_simple and related losses."""

from collections.abc import Callable
from functools import partial
from typing import Literal, TypeAlias

from torch.nn import functional as F

from ddpm_cli.denoiser import Denoiser
from ddpm_cli.losses.batch import Noised, per_image
from ddpm_cli.shapes import Images, PerImage

Distance: TypeAlias = Callable[..., Images]
DistanceName: TypeAlias = Literal["l1", "l2", "huber"]

DISTANCES: dict[DistanceName, Distance] = {"l1": F.l1_loss, "l2": F.mse_loss, "huber": F.huber_loss}


def l1(denoiser: Denoiser, batch: Noised) -> PerImage:
    """Mean absolute error of the network's output."""
    return output_distance(denoiser, batch, F.l1_loss)


def l2(denoiser: Denoiser, batch: Noised) -> PerImage:
    """Mean squared error of the network's output: L_simple (Ho et al. 2020, eq. 14)."""
    return output_distance(denoiser, batch, F.mse_loss)


def huber(denoiser: Denoiser, batch: Noised, *, delta: float = 1.0) -> PerImage:
    """Huber error of the network's output: squared up to `delta`, absolute beyond."""
    if delta <= 0:
        raise ValueError(f"loss.delta must be positive, but is {delta}")
    return output_distance(denoiser, batch, partial(F.huber_loss, delta=delta))


def output_distance(denoiser: Denoiser, batch: Noised, distance: Distance) -> PerImage:
    """A distance of output and target. Raises ValueError if the variance would not be trained."""
    if denoiser.variance == "learned":
        raise ValueError(
            "this loss leaves a learned variance untrained; use loss=hybrid or vlb,"
            " or model.variance=small or large"
        )
    estimate = denoiser(batch.x_t, batch.t, batch.label)
    target = denoiser.target(batch.x0, batch.eps, batch.t)
    return per_image(distance(estimate.output, target, reduction="none"))
