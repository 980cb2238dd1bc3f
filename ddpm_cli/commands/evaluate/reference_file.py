"""The reference in a file: images, or the mean and covariance of their features."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ddpm_cli.data import Preparation, Source, arrays
from ddpm_cli.evaluation.moments_file import (
    StoredMoments,
    array_names,
    held_names,
    moment_names,
    read_moments,
)
from ddpm_cli.files import user_path
from ddpm_cli.image_sets import ImageSet, load_image_set
from ddpm_cli.image_sets.decoding import RECORD
from ddpm_cli.metrics import Extractor
from ddpm_cli.parallel import ProcessGroup

IMAGES = ("arr_0", "images")  # the names of images in a file
FILE = "file"  # the name of a file's images among the parts of the data


@dataclass(frozen=True)
class ReferenceFile:
    """A file of reference images, or of moments by features, or of both.

    names: the arrays in the file. resized: which of the images had another size.
    """

    path: str
    names: list[str]
    moments: Mapping[str, StoredMoments]
    images: ImageSet | None
    resized: str

    def fitting_moments(
        self, metric: str, extractor: Extractor, count: int
    ) -> StoredMoments | None:
        """The moments of a metric's features; None if the metric takes the file's images.

        count: the extractor's number of features. Raises ValueError if neither serves.
        """
        family, _, features = metric.partition("_")
        own, where = self.moments.get(features) if family == "fd" else None, f"{self.path!r}"
        if own is not None and not (misfit := own.misfit(extractor, count)):
            return own
        if self.images is not None:
            return None
        first, second = moment_names(features)
        if own is not None:
            raise ValueError(f"{metric}: {first} in reference={where} {misfit}")
        needs = f"images (arr_0), or {first} and {second}" if family == "fd" else "images (arr_0)"
        rest = "" if family == "fd" else "; mean and covariance serve fd alone"
        raise ValueError(
            f"{metric} takes {needs}, but {where} has none: {held_names(self.names)}{rest}"
        )

    def summary(self) -> str:
        """What the file holds, in words."""
        kinds = [f"{' and '.join(moment_names(each))}" for each in self.moments]
        count = [] if self.images is None else [f"{len(self.images.images):,} images"]
        return f"{', '.join([*kinds, *count])} in {self.path}"


def load_reference_file(
    path: str, metrics: list[str], preparation: Preparation, group: ProcessGroup
) -> ReferenceFile:
    """Read a file of images or moments for metrics. Raises ValueError if it is of neither."""
    families = [metric.partition("_") for metric in metrics]
    features = dict.fromkeys(each for family, _, each in families if family == "fd")
    read = {each: read_moments(user_path(path), each) for each in features}
    moments = {each: stored for each, stored in read.items() if stored is not None}
    names = array_names(user_path(path))
    if {*IMAGES} & {*names}:
        source = group.first_then_others(lambda: arrays(path=path))
        images, resized = load_stored_images(source, preparation, group, "reference")
        return ReferenceFile(path, names, moments, images, resized)
    if not {"mu", "mu_s"} & {*names}:
        rule = "reference must hold mu and sigma, or images (arr_0)"
        raise ValueError(f"{rule}, but in {path!r} {held_names(names)}")
    return ReferenceFile(path, names, moments, None, "")


def load_stored_images(
    source: Source, preparation: Preparation, group: ProcessGroup, kind: str
) -> tuple[ImageSet, str]:
    """The images of a source that were generated, or are a reference; which had another size."""
    own = replace(preparation, crop="center", holdout=0.0, range="auto")
    data = load_image_set(source, own, copies=group.here, verbose=group.rank == 0)
    height, width = own.shape[1:]
    records = data.records if data.records is not None else np.empty(0, RECORD)
    others = records[(records["width"] != width) | (records["height"] != height)]
    if not len(others):
        return data, ""
    name, size = source.name(others[0]["place"]), f"{others[0]['width']} x {others[0]['height']}"
    share = f"{len(others):,} of {len(data.images):,} {kind} images"
    return data, f"{share} are resized to {width} x {height}, such as {name!r}, {size}"
