"""Features of sets of images: shared out among processes, and those of the data kept on the disk beside its cache."""

import hashlib
import io
import logging
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from ddpm_cli.data import ImageArray, select_images
from ddpm_cli.data.cache import tell_unwritable
from ddpm_cli.files import write_atomically
from ddpm_cli.metrics import Extractor
from ddpm_cli.parallel import ProcessGroup
from ddpm_cli.shapes import Features, Indices

VERSION = 1  # of a file of features
AT_ONCE = 64  # images, always the same ones, so that features come out the same to the last bit
SUM = 16  # bytes at the head of a file
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

    kept: the folder where features are kept, if they are, of those sets that have fingerprints.
    """

    pictures: Mapping[str, ImageArray]
    fingerprints: Mapping[str, str]
    extractors: Mapping[str, Extractor]
    device: torch.device
    kept: Path | None
    group: ProcessGroup

    def found(self, wanted: FeatureKey) -> Features:
        """The features of a set, from the disk if they are there; for the first process, the others have some or none."""
        if self.kept is None or wanted.of not in self.fingerprints:
            return self.made(wanted)
        title = self.title(wanted)
        path = self.kept / hashlib.blake2b(title.encode(), digest_size=16).hexdigest() / "features"
        there = read_features(path, title) if self.group.is_first else None
        if self.group.broadcast(there is not None):
            return torch.empty(0, 0) if there is None else there
        made = self.made(wanted)
        if self.group.is_first:
            write_features(path, title, made)
        return made

    def title(self, wanted: FeatureKey) -> str:
        """What decides about features."""
        decisive = [
            VERSION,
            self.fingerprints[wanted.of],
            self.extractors[wanted.by].name,
            self.device.type,
            wanted.mirrored,
        ]
        return " ".join(map(str, decisive))

    def made(self, wanted: FeatureKey) -> Features:
        """The features of a set, a share of them from each process, in order; of others than the first process some of them."""
        pictures, extract = self.pictures[wanted.of], self.extractors[wanted.by].extract

        @torch.no_grad()
        def looked_at(some: Indices) -> tuple[int, Features]:
            images = select_images(pictures, some)
            bar.update()
            return int(some[0]), extract(images.flip(-1) if wanted.mirrored else images).cpu()

        mine = torch.split(torch.arange(len(pictures)), AT_ONCE)[
            self.group.rank :: self.group.count
        ]
        bar = tqdm(
            total=len(mine),
            desc=f"{wanted.of} {wanted.by}",
            leave=False,
            disable=not self.group.is_first,
        )
        with bar, single_core_threads(self.device) as pool:
            found = dict(pool.map(looked_at, mine))
        return torch.cat(self.group.gather_sorted(found) or [torch.empty(0, 0)])


@contextmanager
def single_core_threads(device: torch.device) -> Iterator[Executor]:
    """Threads of which each has a core of its own: sums over several cores would have other last digits for another number of them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads if device.type == "cpu" else 1) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)


def read_features(path: Path, title: str) -> Features | None:
    """The features in a file; None where there is none, or where it is not what was written, which is told."""
    if not path.exists():
        return None
    content = path.read_bytes()
    if content[:SUM] != feature_checksum(title, content[SUM:]):
        log.warning("warning: the features in %s are damaged and are made anew", path)
        return None
    return torch.from_numpy(np.load(io.BytesIO(content[SUM:]), allow_pickle=False))


def write_features(path: Path, title: str, features: Features) -> None:
    """Writes features and their sum."""
    file = io.BytesIO()
    np.save(file, features.numpy())
    with tell_unwritable(path.parent.parent):
        write_atomically(
            path,
            lambda partial: partial.write_bytes(
                feature_checksum(title, file.getvalue()) + file.getvalue()
            ),
        )


def feature_checksum(title: str, content: bytes) -> bytes:
    """The sum of features and of what they are."""
    return hashlib.blake2b(title.encode() + content, digest_size=SUM).digest()
