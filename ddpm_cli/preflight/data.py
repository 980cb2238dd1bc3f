"""Whether a whole set of images suits training, by the records of its images."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from ddpm_cli.data import ImageSet
from ddpm_cli.preflight.finding import Finding
from ddpm_cli.preflight.image_facts import class_counts

COPIES, SMALL = 0.01, 0.1  # shares of the images above which there is a warning
LEAST = 2  # images of a class below which there is a warning


def check_image_sets(parts: Sequence[ImageSet]) -> Iterator[Finding]:
    """Check the images of all parts together; there are no findings without records."""
    known = [part.records for part in parts if part.records is not None]
    if len(known) < len(parts):
        return
    records, labels, classes = np.concatenate(known), None, parts[0].classes
    if parts[0].labels is not None:
        labels = torch.cat([part.labels for part in parts if part.labels is not None])
    count, (height, width) = len(records), parts[0].images.shape[2:]
    copies, plain = count - len(np.unique(records["word"])), int(records["plain"].sum())
    small = int(((records["width"] < width) | (records["height"] < height)).sum())
    rare = sum(n < LEAST for n in class_counts(labels, classes).values())
    enlarged = f"are smaller than {width} x {height} and are enlarged"
    warnings = {
        f"{copies:,} of {count:,} images are exact copies of others": copies > COPIES * count,
        f"{plain:,} of {count:,} images are of one colour": plain > 0,
        f"{small:,} of {count:,} images {enlarged}": small > SMALL * count,
        f"{rare:,} of {len(classes):,} classes have fewer than {LEAST} images": rare > 0,
    }
    for text, applies in warnings.items():
        if applies:
            yield Finding("warning", f"{text} (ddpm-data says more)")
    if not any(warnings.values()):
        facts = "hardly any are copies or enlarged, and none is of one colour"
        yield Finding("ok", f"of all {count:,} images {facts}")
