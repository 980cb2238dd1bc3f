"""The data set that is reported on: decoded, with the facts of its images."""

import time
from dataclasses import dataclass

from ddpm_cli.data import Decoded, ImageSet, Preparation, Source, assemble_image_set, decode_source
from ddpm_cli.preflight.duplicates import Places
from ddpm_cli.preflight.image_facts import ImageFacts, image_facts


@dataclass(frozen=True)
class DataReport:
    """What is reported on: a source, how it is prepared, what came of that, and in how many seconds."""

    source: Source
    preparation: Preparation
    found: Decoded
    data: ImageSet
    facts: ImageFacts
    seconds: float

    def names(self, places: Places) -> list[str]:
        """The names of images."""
        return [self.source.name(place) for place in self.found.records["place"][places].tolist()]


def inspect_source(source: Source, preparation: Preparation) -> DataReport:
    """All images of a source decoded, or found in the cache, and the facts of them."""
    began = time.perf_counter()
    found = decode_source(source, preparation)
    seconds = found.seconds if found.folder else time.perf_counter() - began
    data = assemble_image_set(found, source, preparation)
    return DataReport(
        source,
        preparation,
        found,
        data,
        image_facts(found.images, found.records, data, preparation.holdout),
        seconds,
    )
