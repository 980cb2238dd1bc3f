"""Features of sets of images, extracted by all processes; a cache on disk keeps the data's."""

import hashlib
import io
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from ddpm_cli.files import write_atomically
from ddpm_cli.image_sets.cache import tell_unwritable
from ddpm_cli.images import ImageArray, select_images
from ddpm_cli.metrics import Extractor
from ddpm_cli.parallel import ProcessGroup
from ddpm_cli.shapes import Features, Indices

VERSION = 1  # the version of the format of a file of features
AT_ONCE = 64  # images in a batch; equal batches give features that are equal to the last bit
SUM = 16  # bytes of the checksum of title and features, at the start of a file
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FeatureKey:
    """The features of a set of images, or of their mirror images, by an extractor."""

    of: str
    by: str
    mirrored: bool = False


@dataclass(frozen=True)
class FeatureCache:
    """Sets of images by name, extractors by name, and the processes that share the work.

    folder: the folder that keeps the features of sets with fingerprints; None: nothing is kept.
    """

    images: Mapping[str, ImageArray]
    fingerprints: Mapping[str, str]
    extractors: Mapping[str, Extractor]
    device: torch.device
    folder: Path | None
    group: ProcessGroup

    def features(self, key: FeatureKey) -> Features:
        """Read the features of a set from the disk, or extract them; the first process returns all.

        The other processes return some features or none.
        """
        if self.folder is None or key.of not in self.fingerprints:
            return self.extract(key)
        extractor = self.extractors[key.by].name
        decisive = VERSION, self.fingerprints[key.of], extractor, self.device.type, key.mirrored
        title = " ".join(map(str, decisive))
        name = hashlib.blake2b(title.encode(), digest_size=16).hexdigest()
        path = self.folder / name / "features"
        here = self.group.rank == 0 and path.exists()
        stored = read_features(path, title) if here else None
        if self.group.broadcast(stored is not None):
            return torch.empty(0, 0) if stored is None else stored
        features = self.extract(key)
        if self.group.rank == 0:
            write_features(path, title, features)
        return features

    def extract(self, key: FeatureKey) -> Features:
        """Extract a share of a set's features in each process; the first returns all in order.

        Each thread uses one core, because sums over several cores depend on the number of cores.
        """
        images, extractor = self.images[key.of], self.extractors[key.by]
        every, group = torch.split(torch.arange(len(images)), AT_ONCE), self.group
        mine = every[group.rank :: group.count]
        title, hidden = f"{key.of} {key.by}", group.rank > 0
        bar = tqdm(total=len(mine), desc=title, leave=False, disable=hidden)

        @torch.no_grad()
        def extract_batch(indices: Indices) -> tuple[int, Features]:
            batch = select_images(images, indices)
            bar.update()
            features = extractor.extract(batch.flip(-1) if key.mirrored else batch)
            return int(indices[0]), features.cpu()

        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with bar, ThreadPoolExecutor(threads if self.device.type == "cpu" else 1) as pool:
                batches = dict(pool.map(extract_batch, mine))
        finally:
            torch.set_num_threads(threads)
        return torch.cat(group.gather_sorted(batches) or [torch.empty(0, 0)])


def read_features(path: Path, title: str) -> Features | None:
    """Read the features in a file; return None if the file is damaged."""
    checksum, content = (read := path.read_bytes())[:SUM], read[SUM:]
    if checksum != hashlib.blake2b(title.encode() + content, digest_size=SUM).digest():
        log.warning("warning: the features in %s are damaged and are made anew", path)
        return None
    return torch.from_numpy(np.load(io.BytesIO(content), allow_pickle=False))


def write_features(path: Path, title: str, features: Features) -> None:
    """Write a file of features with its checksum."""
    file = io.BytesIO()
    np.save(file, features.numpy())
    content = file.getvalue()
    checksum = hashlib.blake2b(title.encode() + content, digest_size=SUM).digest()
    with tell_unwritable(path.parent.parent):
        write_atomically(path, lambda partial: partial.write_bytes(checksum + content))
