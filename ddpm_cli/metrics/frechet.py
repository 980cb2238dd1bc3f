"""The Fréchet distance between two sets of features, each told by its mean and covariance."""

from dataclasses import dataclass

import torch

from ddpm_cli.shapes import Covariance, Features, Mean

ROWS = 4096  # in double precision at a time


@dataclass(frozen=True)
class Moments:
    """Mean [D] and covariance [D, D] of features, in double precision."""

    mean: Mean
    covariance: Covariance


def moments(features: Features) -> Moments:
    """The moments of features [N, D], N at least 2; of `features` only a part is ever held in double precision."""
    if len(features) < 2:
        raise ValueError(f"a covariance takes at least 2 images, but there are {len(features)}")
    mean = features.mean(dim=0, dtype=torch.float64)
    products = torch.zeros(len(mean), len(mean), dtype=torch.float64)
    for rows in torch.split(features, ROWS):
        apart = rows.double() - mean
        products = products + apart.T @ apart
    return Moments(mean, products / (len(features) - 1))


def frechet_distance(one: Moments, other: Moments) -> float:
    """|m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)), never below 0 (Dowson & Landau 1982; Heusel et al. 2017, eq. 6)."""
    values, vectors = torch.linalg.eigh(one.covariance)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    mixed = torch.linalg.eigvalsh(root @ other.covariance @ root).clamp(min=0).sqrt().sum()
    apart = (one.mean - other.mean).square().sum() + one.covariance.trace() + other.covariance.trace() - 2 * mixed
    return max(0.0, float(apart))
