"""Metrics of samples during training: distances of their features from the training images'."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from omegaconf import DictConfig

from ddpm_cli.config.composition import choices
from ddpm_cli.evaluation.extractor_config import feature_nodes
from ddpm_cli.even_indices import evenly_spaced
from ddpm_cli.image_sets import ImageSet
from ddpm_cli.images import ImageArray
from ddpm_cli.metrics import Extractor, Moments, extract_features, frechet_distance, moments
from ddpm_cli.metrics.kernel import row_means
from ddpm_cli.shapes import Features

MOST = 10_000  # the most training images that samples are compared with
AT_ONCE = 32  # images at once through an extractor, which may enlarge the images


@dataclass(frozen=True)
class TrainingFeatures:
    """Features of training images, and the statistics that are computed once from the features.

    alike: the mean of the kernel over pairs of training images.
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
    """Metrics fd_X and kid_X against at most 10,000 training images; `extractors` names the X."""

    names: Sequence[str]
    extractors: Mapping[str, Extractor]
    training: ImageSet

    @property
    def images(self) -> ImageArray:
        """The training images that samples are compared with, spread evenly over the data."""
        count = len(self.training.images)
        places = torch.tensor(evenly_spaced(count, min(MOST, count)))
        return self.training.subset(places).images

    @cached_property
    def references(self) -> dict[str, TrainingFeatures]:
        """The features of the training images, computed at the first access."""
        return {name: TrainingFeatures(each) for name, each in self.features(self.images).items()}

    @property
    def has_references(self) -> bool:
        """Whether the features of the training images are computed."""
        return "references" in vars(self)

    @torch.no_grad()
    def features(self, images: ImageArray) -> dict[str, Features]:
        """The features of images by the name of the extractor."""
        return {
            name: extract_features(each.extract, images, at_once=AT_ONCE)
            for name, each in self.extractors.items()
        }

    def scores(self, generated: Mapping[str, Features]) -> dict[str, float]:
        """The value of every metric for samples with these features."""
        parts = {name: name.split("_", 1) for name in self.names}
        return {
            name: SCORES[score](generated[by], self.references[by])
            for name, (score, by) in parts.items()
        }


def sample_metric_nodes(cfg: DictConfig) -> dict[str, object]:
    """The nodes of the features of trainer.measures. Raises ValueError for an unknown metric."""
    names = cfg.trainer.measures
    known = [f"{score}_{each}" for score in SCORES for each in choices("features")]
    for name in names:
        if name not in known:
            raise ValueError(
                f"trainer.measures must be among {', '.join(known)}, but {name!r} is not"
            )
    return feature_nodes(names)
