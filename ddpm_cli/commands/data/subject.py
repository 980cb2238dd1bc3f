"""The data set that is reported on: decoded, with the facts of its images."""

import time
from dataclasses import dataclass

from ddpm_cli.data import Decoded, ImageSet, Preparation, Source, decoded, together
from ddpm_cli.preflight.duplicates import Places
from ddpm_cli.preflight.image_facts import Report, report


@dataclass(frozen=True)
class Subject:
    """What is reported on: a source, how it is prepared, what came of that, and in how many seconds."""

    source: Source
    preparation: Preparation
    found: Decoded
    data: ImageSet
    facts: Report
    seconds: float

    def names(self, places: Places) -> list[str]:
        """The names of images."""
        return [self.source.name(place) for place in self.found.records["place"][places].tolist()]


def looked_at(source: Source, preparation: Preparation) -> Subject:
    """All images of a source decoded, or found in the cache, and the facts of them."""
    began = time.perf_counter()
    found = decoded(source, preparation)
    seconds = found.seconds if found.folder else time.perf_counter() - began
    data = together(found, source, preparation)
    return Subject(source, preparation, found, data, report(found.images, found.records, data, preparation.holdout), seconds)
