"""Whether a whole set of images is what a run should learn from, by what is known of each."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from ddpm_cli.data import ImageSet
from ddpm_cli.preflight.finding import Finding
from ddpm_cli.preflight.image_facts import is_enlarged, per_class

COPIES, SMALL, LEAST = (
    0.01,
    0.1,
    2,
)  # shares of the images above which it is told, and images of a class below which


def check_image_sets(parts: Sequence[ImageSet]) -> Iterator[Finding]:
    """What a user should know of the images of all parts together; nothing is said where they are not known beforehand."""
    known = [part.records for part in parts if part.records is not None]
    if len(known) < len(parts):
        return
    records, first = np.concatenate(known), parts[0]
    labels = (
        None
        if first.labels is None
        else torch.cat([part.labels for part in parts if part.labels is not None])
    )
    count, (height, width) = len(records), first.images.shape[2:]
    copies, plain = count - len(np.unique(records["word"])), int(records["plain"].sum())
    small, few = (
        int(is_enlarged(records, first.images.shape).sum()),
        sum(n < LEAST for n in per_class(labels, first.classes).values()),
    )
    wrong = {
        f"{copies:,} of {count:,} images are exact copies of others": copies > COPIES * count,
        f"{plain:,} of {count:,} images are of one colour": plain > 0,
        f"{small:,} of {count:,} images are smaller than {width} x {height} and are enlarged": small
        > SMALL * count,
        f"{few:,} of {len(first.classes):,} classes have fewer than {LEAST} images": few > 0,
    }
    yield from (
        Finding("warning", f"{text} (ddpm-data says more)")
        for text, is_so in wrong.items()
        if is_so
    )
    if not any(wrong.values()):
        yield Finding(
            "ok",
            f"of all {count:,} images hardly any are copies or enlarged, and none is of one colour",
        )
