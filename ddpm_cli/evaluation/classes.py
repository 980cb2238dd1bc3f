"""The images of one class, as the reference of generated images of the class."""

import torch

from ddpm_cli.image_sets import ImageSet


def images_of_class(data: ImageSet, part: ImageSet, number: int) -> ImageSet:
    """The images of a class in a part of a whole set, without a copy."""
    assert part.labels is not None
    places = torch.arange(len(part.images)) if part.places is None else part.places
    return data.subset(places[part.labels == number])
