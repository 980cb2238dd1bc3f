"""The subject of a report: a data set, decoded, with the statistics of its images."""

import time
from dataclasses import dataclass

from ddpm_cli.data import Preparation, Source
from ddpm_cli.image_sets import Decoded, ImageSet, assemble_image_set, decode_source
from ddpm_cli.preflight.duplicates import Places
from ddpm_cli.preflight.image_statistics import ImageStatistics, image_statistics


@dataclass(frozen=True)
class DataReport:
    """A source, its preparation, its images, their statistics, and the seconds of the decoding."""

    source: Source
    preparation: Preparation
    decoded: Decoded
    data: ImageSet
    statistics: ImageStatistics
    seconds: float

    def names(self, places: Places) -> list[str]:
        """The names of the images at these places."""
        return [self.source.name(place) for place in self.decoded.records["place"][places].tolist()]


def inspect_source(source: Source, preparation: Preparation) -> DataReport:
    """Decode all images of a source, or take them from the cache, and collect their statistics."""
    began = time.perf_counter()
    decoded = decode_source(source, preparation)
    seconds = decoded.seconds if decoded.folder else time.perf_counter() - began
    data = assemble_image_set(decoded, source, preparation)
    statistics = image_statistics(decoded.images, decoded.records, data, preparation.holdout)
    return DataReport(source, preparation, decoded, data, statistics, seconds)
