"""Mean and covariance of the reference, written into a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ddpm_cli.commands.evaluate.inputs import EvaluationInputs
from ddpm_cli.console import fact
from ddpm_cli.evaluation.feature_cache import FeatureCache, FeatureKey
from ddpm_cli.evaluation.moments_file import StoredMoments, read_moments, write_moments
from ddpm_cli.files import user_path
from ddpm_cli.metrics import moments
from ddpm_cli.shapes import Features


@dataclass(frozen=True)
class WrittenMoments:
    """A file for the moments of a part of the data, by features of these names."""

    path: Path
    part: str
    names: list[str]
    cache: FeatureCache

    def description(self, name: str) -> tuple[int, str, str]:
        """The number of images, the extractor's name, and the images in words."""
        count, fingerprint = len(self.cache.images[self.part]), self.cache.fingerprints[self.part]
        about = f"{fingerprint[:10]} {count:,} {self.part}"
        return count, self.cache.extractors[name].name, about

    def check(self) -> None:
        """Refuse a file of other moments, and one in a folder that is not there."""
        if not self.path.parent.is_dir():
            where = str(self.path.parent)
            raise ValueError(f"write must lie in a folder, but there is none at {where!r}")
        for name in self.names if self.path.exists() else ():
            there = read_moments(self.path, name, option="write")
            if there is None or (there.n, there.by, there.about) != self.description(name):
                rule = "write must name a new file, or one of the same reference and features"
                raise ValueError(f"{rule}, but {str(self.path)!r} is another")

    def write(self, features: Mapping[FeatureKey, Features]) -> None:
        """Write the moments, unless they are there."""
        if not self.path.exists():
            stored = {
                name: StoredMoments(
                    moments(features[FeatureKey(self.part, name)]), *self.description(name)
                )
                for name in self.names
            }
            write_moments(self.path, stored)
        fact("written", f"{self.path}: mean and covariance of {', '.join(self.names)}")


def written_moments(
    inputs: EvaluationInputs,
    metrics: Sequence[str],
    cache: FeatureCache,
    stored: Mapping[str, StoredMoments],
) -> WrittenMoments | None:
    """The file that takes the moments of the reference; None without write."""
    if (path := inputs.options.write) is None:
        return None
    if stored:
        held = f"{inputs.options.reference!r} holds mean and covariance"
        raise ValueError(f"write takes reference images, but {held}")
    names = [name.removeprefix("fd_") for name in metrics if name.startswith("fd_")]
    written = WrittenMoments(user_path(path), inputs.reference, names, cache)
    written.check()
    return written
