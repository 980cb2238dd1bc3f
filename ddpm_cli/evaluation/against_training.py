"""What samples are measured by as a run trains: distances of their features from those of its training images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from omegaconf import DictConfig

from ddpm_cli.config.overrides import choices
from ddpm_cli.data import ImageArray, ImageSet
from ddpm_cli.evaluation import metric_names
from ddpm_cli.metrics import Extractor, Moments, extract_features, frechet_distance, moments
from ddpm_cli.metrics.kernel import row_means
from ddpm_cli.shapes import Features, Indices

MOST = 10_000  # training images that samples are compared with
AT_ONCE = 32  # through an extractor, which may enlarge them


@dataclass(frozen=True)
class TrainingFeatures:
    """Features of training images, and what of them is found once: moments, and how alike they are to one another."""

    features: Features

    @cached_property
    def moments(self) -> Moments:
        return moments(self.features)

    @cached_property
    def alike(self) -> float:
        return float(row_means(self.features, self.features, itself=True).mean())


def fd_score(generated: Features, reference: TrainingFeatures) -> float:
    """The Fréchet distance."""
    return frechet_distance(moments(generated), reference.moments)


def kid_score(generated: Features, reference: TrainingFeatures) -> float:
    """The kernel distance, as `kernel_distance` has it."""
    within, across = (
        row_means(generated, generated, itself=True),
        row_means(generated, reference.features, itself=False),
    )
    return float(within.mean() + reference.alike - 2 * across.mean())


SCORES: dict[str, Callable[[Features, TrainingFeatures], float]] = {
    "fd": fd_score,
    "kid": kid_score,
}


@dataclass(frozen=True)
class TrainingSetMetrics:
    """Measures of samples, named fd_X and kid_X with X of `extractors`, against at most 10,000 of the training images."""

    names: Sequence[str]
    extractors: Mapping[str, Extractor]
    training: ImageSet

    @property
    def images(self) -> ImageArray:
        """The training images that samples are compared with, spread evenly over all."""
        count = len(self.training.images)
        return self.training.chosen(evenly_spaced(min(MOST, count), count)).images

    @cached_property
    def references(self) -> dict[str, TrainingFeatures]:
        """What samples are compared with, found when it is first asked for."""
        return {name: TrainingFeatures(each) for name, each in self.features(self.images).items()}

    @torch.no_grad()
    def features(self, images: ImageArray) -> dict[str, Features]:
        """All features of images, by name."""
        return {
            name: extract_features(each.extract, images, at_once=AT_ONCE)
            for name, each in self.extractors.items()
        }

    def scores(self, generated: Mapping[str, Features]) -> dict[str, float]:
        """Every measure of samples that have these features."""
        parted = {name: name.split("_", 1) for name in self.names}
        return {
            name: SCORES[score](generated[of], self.references[of])
            for name, (score, of) in parted.items()
        }


def evenly_spaced(n: int, count: int) -> Indices:
    """n places among `count`, spread evenly."""
    return torch.arange(n) * count // n


def sample_metric_nodes(cfg: DictConfig) -> dict[str, object]:
    """The features that trainer.measures goes by, as their YAML files say; ValueError where one is no measure."""
    if not (names := cfg.trainer.measures):
        return {}
    known = [f"{score}_{each}" for score in SCORES for each in choices("features")]
    for name in names:
        if name not in known:
            raise ValueError(
                f"trainer.measures must be among {', '.join(known)}, but {name!r} is not"
            )
    return metric_names.feature_nodes(names)
