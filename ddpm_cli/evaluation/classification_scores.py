"""Classification accuracy scores: labelled images judged by a classifier trained on them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tqdm import tqdm

from ddpm_cli.even_indices import evenly_spaced
from ddpm_cli.image_sets import ImageSet
from ddpm_cli.images import ImageArray
from ddpm_cli.metrics import Number
from ddpm_cli.metrics.class_accuracy import (
    class_accuracy,
    classifier_steps,
    classifier_training,
    small_images,
    untrained_classifier,
)
from ddpm_cli.shapes import Bytes, Indices, Labels

BLOCK = 1024  # images at a time


@dataclass(frozen=True)
class LabelledImages:
    """Images [N, C, H, W] of at most 32 pixels a side in memory, and the number of each class."""

    images: Bytes
    labels: Labels

    @classmethod
    def of(cls, images: ImageArray, places: Indices, labels: Labels) -> "LabelledImages":
        """The images at these places, made small, with the labels of these images."""
        blocks = [small_images(images, part) for part in torch.split(places, BLOCK)]
        return cls(torch.cat(blocks), labels)

    @classmethod
    def of_set(cls, data: ImageSet, most: int | None = None) -> "LabelledImages":
        """The images of a set that have a class; `most` are spread evenly over them."""
        places = labelled_places(data, most)
        assert data.labels is not None, "places are of images with a class"
        return cls.of(data.images, places, data.labels[places])


def labelled_places(data: ImageSet, most: int | None = None) -> Indices:
    """The places of images with a class; `most` are spread evenly over them."""
    assert data.labels is not None, "the caller has looked for classes"
    places = (data.labels >= 0).nonzero().flatten()
    count = len(places) if most is None else min(most, len(places))
    return places[torch.tensor(evenly_spaced(len(places), count), dtype=torch.int64)]


def score_classification(
    title: str,
    training: LabelledImages,
    unseen: LabelledImages,
    classes: Sequence[str],
    device: torch.device,
) -> Number:
    """The accuracy on unseen images of a classifier trained on others (Ravuri & Vinyals 2019).

    A bar with a title shows the progress. Equal images give the same number on the CPU, with any
    random state.
    """
    _, channels, height, width = training.images.shape
    network = untrained_classifier(channels, height, width, len(classes))
    steps = classifier_training(network, training.images, training.labels, device)
    for _ in tqdm(steps, title, classifier_steps(len(training.images)), leave=False):
        pass
    return class_accuracy(network, unseen.images, unseen.labels, device)
