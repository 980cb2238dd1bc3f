"""The kernel distance between two sets of features, unbiased at any number of images."""

import torch

from ddpm_cli.metrics.intervals import Number, of_mean
from ddpm_cli.metrics.precision_recall import BLOCK, equal_features
from ddpm_cli.shapes import Each, Features, Others

ROUNDING = 1e-12  # the rounding of sums relative to the kernel's mean


def kernel_distance(generated: Features, reference: Others, *, block: int = BLOCK) -> Number:
    """mean k(x, x') + mean k(y, y') - 2 mean k(x, y) over all pairs, k(x, y) = (x.y / D + 1)^3.

    Bińkowski et al. 2018, eq. 4. No image is paired with itself. For an image in both sets, the
    last mean leaves out one pair too, because the pair says nothing about the distance. Further
    pairs of repeated images count. The influence of x is 2 (mean_x' k(x, x') - mean_y k(x, y)).
    block: rows and columns of the kernel at a time.
    """
    if min(len(generated), len(reference)) < 2:
        raise ValueError(
            "pairs take at least 2 images in either set,"
            f" but there are {len(generated)} and {len(reference)}"
        )
    alike = float(row_means(reference, reference, itself=True, block=block).mean())
    return of_mean(*kernel_and_influences(generated, reference, alike, block=block))


def kernel_and_influences(
    generated: Features, reference: Others, alike: float, *, block: int = BLOCK
) -> tuple[float, Each]:
    """The kernel distance, and each image's influence on it, up to a constant.

    alike: the mean of the kernel over pairs of reference images. block: as in `kernel_distance`.
    """
    within = row_means(generated, generated, itself=True, block=block)
    across = row_means(generated, reference, itself=False, block=block)
    apart = float(within.mean() + alike - 2 * across.mean())
    value = apart if abs(apart) > ROUNDING * float(within.mean()) else 0.0
    return value, 2 * (within - across)


def row_means(one: Features, other: Others, *, itself: bool, block: int = BLOCK) -> Each:
    """The mean of k(x, y) over the y in `other`, for each x of `one`.

    itself: whether to leave out the y at x's own place; otherwise one y equal to x is left out.
    """
    means = []
    for rows in torch.split(torch.arange(len(one)), block):
        same = torch.zeros(len(rows), 1, dtype=torch.int64)
        x, total = one[rows].double(), torch.zeros(len(rows), dtype=torch.float64)
        count = torch.zeros(len(rows), dtype=torch.int64)
        for columns in torch.split(torch.arange(len(other)), block):
            y = other[columns].double()
            equal = rows[:, None] == columns if itself else equal_features(x, y)
            same = same[:, -1:] + equal.cumsum(dim=1)
            included = ~(equal & (same == 1))
            total = total + ((x @ y.T / one.shape[1] + 1) ** 3 * included).sum(dim=1)
            count = count + included.sum(dim=1)
        means.append(total / count)
    return torch.cat(means)
