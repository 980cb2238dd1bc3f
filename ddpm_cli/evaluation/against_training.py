"""Metrics of samples during training: distances of their features from the training images'."""

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
from ddpm_cli.shapes import Features
from ddpm_cli.spacing import evenly_spaced

MOST = 10_000  # training images that samples are compared with
AT_ONCE = 32  # through an extractor, which may enlarge them


@dataclass(frozen=True)
class TrainingFeatures:
    """Features of training images, and what is computed of them once.

    alike: the mean of the kernel between pairs of them.
    """

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
    """The kernel distance, as in `kernel_distance`."""
    within = row_means(generated, generated, itself=True)
    across = row_means(generated, reference.features, itself=False)
    return float(within.mean() + reference.alike - 2 * across.mean())


SCORES: dict[str, Callable[[Features, TrainingFeatures], float]] = {
    "fd": fd_score,
    "kid": kid_score,
}


@dataclass(frozen=True)
class TrainingSetMetrics:
    """Metrics fd_X and kid_X, X of `extractors`, against at most 10,000 training images."""

    names: Sequence[str]
    extractors: Mapping[str, Extractor]
    training: ImageSet

    @property
    def images(self) -> ImageArray:
        """The training images that samples are compared with, spread evenly over all."""
        count = len(self.training.images)
        places = torch.tensor(evenly_spaced(count, min(MOST, count)))
        return self.training.subset(places).images

    @cached_property
    def references(self) -> dict[str, TrainingFeatures]:
        """The features of the training images, computed at the first access."""
        return {name: TrainingFeatures(each) for name, each in self.features(self.images).items()}

    @torch.no_grad()
    def features(self, images: ImageArray) -> dict[str, Features]:
        """All features of images, by name."""
        return {
            name: extract_features(each.extract, images, at_once=AT_ONCE)
            for name, each in self.extractors.items()
        }

    def scores(self, generated: Mapping[str, Features]) -> dict[str, float]:
        """Every metric of samples with these features."""
        parts = {name: name.split("_", 1) for name in self.names}
        return {
            name: SCORES[score](generated[by], self.references[by])
            for name, (score, by) in parts.items()
        }


def sample_metric_nodes(cfg: DictConfig) -> dict[str, object]:
    """The nodes of the features of trainer.measures; ValueError for an unknown metric."""
    names = cfg.trainer.measures
    known = [f"{score}_{each}" for score in SCORES for each in choices("features")]
    for name in names:
        if name not in known:
            raise ValueError(
                f"trainer.measures must be among {', '.join(known)}, but {name!r} is not"
            )
    return metric_names.feature_nodes(names)
