"""Density and coverage of generated images, by the neighbourhoods of reference images."""

import torch

from ddpm_cli.metrics.intervals import Number, of_mean, of_share
from ddpm_cli.metrics.precision_recall import (
    BLOCK,
    ROWS,
    nearest_neighbours,
    random_halves,
    share_by_halves,
)
from ddpm_cli.shapes import Features, Others


def density_coverage(
    generated: Features, reference: Others, *, k: int, block: int = BLOCK, rows: int = ROWS
) -> dict[str, Number]:
    """Density and coverage of generated images (Naeem et al. 2020, section 3).

    The neighbourhood of a reference image reaches to its k-th neighbour in the reference, which
    lies outside. Density: the mean number of neighbourhoods that hold a generated image, over k;
    it may exceed 1. Coverage: the share of neighbourhoods with a generated image. The interval of
    coverage is by random halves, as that of recall (89 to 99 of 100 hold, D = 4 to 32 and N from
    100 to 500). block: of `nearest_neighbours`. rows: rows of distances at a time, with all
    columns.
    """
    if not 1 <= k < len(reference):
        raise ValueError(
            f"k must be at least 1 and less than {len(reference)}, the reference images, but is {k}"
        )
    if len(generated) < 2:
        raise ValueError(f"halves take at least 2 images, but there are {len(generated)}")
    reach = nearest_neighbours(reference, reference, k + 1, block=block)[0][:, k]
    images, sets = generated.double(), random_halves(len(generated))
    counts = torch.zeros(len(generated), dtype=torch.float64)
    covered = torch.zeros(len(sets), dtype=torch.int64)
    for part, radius in zip(torch.split(reference, rows), torch.split(reach, rows), strict=True):
        inside = (torch.cdist(part.double(), images) < radius[:, None]).float()
        counts = counts + inside.sum(dim=0)
        covered = covered + (inside @ sets.float().T > 0).sum(dim=0)
    shares = covered.double() / len(reference)
    density = of_mean(float(counts.mean()) / k, counts / k)
    if not counts.any():
        density = of_share(0, len(generated))  # images without a spread are not sure to be outside
    return {
        "density": density,
        "coverage": share_by_halves(shares, min(len(generated), len(reference))),
    }
