"""The distance of CMMD: a maximum mean discrepancy with a wide Gaussian kernel."""

import torch

from ddpm_cli.metrics.intervals import Number, of_mean
from ddpm_cli.metrics.precision_recall import BLOCK
from ddpm_cli.shapes import Each, Features, Others

WIDTH = 10.0  # sigma of the kernel
SCALE = 1000.0  # what the published figures are multiplied by


def gaussian_distance(generated: Features, reference: Others, *, block: int = BLOCK) -> Number:
    """1000 (mean k(x, x') + mean k(y, y') - 2 mean k(x, y)), k(x, y) = exp(-|x - y|^2 / 200).

    Jayasumana et al. 2024, section 4, with the estimator of the published code: the means count
    the pair of each image with itself, so that the distance is too large by about a constant / N
    (Gretton et al. 2012, eq. 5). The influence of x is 2000 (mean_x' k(x, x') - mean_y k(x, y)).
    The published features have length 1. block: rows and columns of the kernel at a time.
    """
    within = gaussian_means(generated, generated, block=block)
    across = gaussian_means(generated, reference, block=block)
    others = gaussian_means(reference, reference, block=block)
    value = SCALE * float(within.mean() + others.mean() - 2 * across.mean())
    return of_mean(value, 2 * SCALE * (within - across))


def gaussian_means(one: Features, other: Others, *, block: int = BLOCK) -> Each:
    """The mean of k(x, y) - 1 over the y in `other`, for each x of `one`.

    Without the 1, digits remain where all kernels are nearly 1.
    """
    means = []
    for x in torch.split(one, block):
        total = torch.zeros(len(x), dtype=torch.float64)
        for y in torch.split(other, block):
            squares = torch.cdist(x.double(), y.double()).square()
            total = total + torch.expm1(squares / (-2 * WIDTH**2)).sum(dim=1)
        means.append(total / len(other))
    return torch.cat(means)
