"""Checks that a network can learn from the images of a data set and of a batch."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from ddpm_cli.image_sets import ImageSet
from ddpm_cli.preflight.finding import Finding
from ddpm_cli.preflight.image_statistics import class_counts
from ddpm_cli.shapes import Bytes

COPIES, SMALL = 0.01, 0.1  # larger shares of copies and of small images cause a warning
LEAST = 2  # a class with fewer images causes a warning
CONTRAST = 64  # a batch whose bytes span less causes a warning


def check_held_out(held_out: int, training: int) -> Iterator[Finding]:
    """Warn of so few held-out images that they cannot tell overfitting."""
    if held_out < 2:
        share = f"{held_out} of {held_out + training:,} images are held out"
        remedy = "choose a larger data.holdout, or 0 for none"
        yield Finding("warning", f"{share}: overfitting cannot be told of so few; {remedy}")


def check_image_sets(parts: Sequence[ImageSet]) -> Iterator[Finding]:
    """Check the images of all parts together, of which the last one is held out.

    Images without records give no findings.
    """
    known = [part.records for part in parts if part.records is not None]
    if len(known) < len(parts):
        return
    records, labels, classes = np.concatenate(known), None, parts[0].classes
    if parts[0].labels is not None:
        labels = torch.cat([part.labels for part in parts if part.labels is not None])
    count, (height, width) = len(records), parts[0].images.shape[2:]
    copies, plain = count - len(np.unique(records["word"])), int(records["plain"].sum())
    small = int(((records["width"] < width) | (records["height"] < height)).sum())
    held_out = known[-1]["word"] if len(known) > 1 else records["word"][:0]
    leaked, few = int(np.isin(held_out, known[0]["word"]).sum()), COPIES * len(held_out)
    rare = sum(n < LEAST for n in class_counts(labels, classes).values())
    enlarged = f"are smaller than {width} x {height} and are enlarged"
    warnings = {
        f"{copies:,} of {count:,} images are exact copies of others": copies > COPIES * count,
        f"{leaked:,} held-out images are copies of training images": leaked > few,
        f"{plain:,} of {count:,} images are of one colour": plain > 0,
        f"{small:,} of {count:,} images {enlarged}": small > SMALL * count,
        f"{rare:,} of {len(classes):,} classes have fewer than {LEAST} images": rare > 0,
    }
    for text, applies in warnings.items():
        if applies:
            yield Finding("warning", f"{text} (ddpm-data says more)")
    if not any(warnings.values()):
        detail = "are copies or enlarged, and none is of one colour"
        yield Finding("ok", f"few or none of all {count:,} images {detail}")


def check_batch_images(batch: Bytes) -> Iterator[Finding]:
    """Check that a batch looks like images from which a network can learn."""
    count, low, high = len(batch), int(batch.min()), int(batch.max())
    pixels = batch.flatten(2)
    plain = int((pixels.amin(2) == pixels.amax(2)).all(1).sum())
    different = len({image.numpy().tobytes() for image in batch})
    grey = batch.shape[1] == 3 and bool((batch == batch[:, :1]).all())
    contrast = f"a batch has bytes {low} to {high} of 0 to 255: little contrast"
    warnings = {
        f"{plain} of {count} images in a batch are of one colour": plain > 0,
        f"{count - different} of {count} images in a batch are copies of others": count > different,
        f"{contrast}, or images on another scale": high - low < CONTRAST,
        "all images in a batch are grey: data.channels=1 is enough": grey,
    }
    for text, applies in warnings.items():
        if applies:
            yield Finding("warning", text)
    if not any(warnings.values()):
        detail = f"{count} different images, none of one colour, bytes {low} to {high}"
        yield Finding("ok", f"a batch has {detail}")
