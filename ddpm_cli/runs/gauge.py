"""What samples are measured by as a run trains: distances of their features from those of its training images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from ddpm_cli.config import bind
from ddpm_cli.data import ImageSet
from ddpm_cli.metrics import Moments, extracted, frechet_distance, moments
from ddpm_cli.metrics.features import Extract
from ddpm_cli.metrics.kernel import row_means
from ddpm_cli.shapes import Bytes, Features, Indices

MOST = 10_000  # training images that samples are compared with


@dataclass(frozen=True)
class Reference:
    """Features of training images, and what of them is found once: moments, and how alike they are to one another."""

    features: Features

    @cached_property
    def moments(self) -> Moments:
        return moments(self.features)

    @cached_property
    def alike(self) -> float:
        return float(row_means(self.features, self.features, itself=True).mean())


def fd(generated: Features, reference: Reference) -> float:
    """The Fréchet distance."""
    return frechet_distance(moments(generated), reference.moments)


def kid(generated: Features, reference: Reference) -> float:
    """The kernel distance, as `kernel_distance` has it."""
    within, across = row_means(generated, generated, itself=True), row_means(generated, reference.features, itself=False)
    return float(within.mean() + reference.alike - 2 * across.mean())


SCORES: dict[str, Callable[[Features, Reference], float]] = {"fd": fd, "kid": kid}


@dataclass(frozen=True)
class Gauge:
    """Measures of samples, named fd_X and kid_X with X of `extractors`, against at most 10,000 of the training images."""

    names: Sequence[str]
    extractors: Mapping[str, Extract]
    training: ImageSet

    @cached_property
    def references(self) -> dict[str, Reference]:
        """What samples are compared with, found when it is first asked for."""
        count = len(self.training.images)
        images = self.training.chosen(spread(min(MOST, count), count)).images
        return {name: Reference(extracted(each, images)) for name, each in self.extractors.items()}

    def features(self, images: Bytes) -> dict[str, Features]:
        """All features of images, by name."""
        return {name: extracted(each, images) for name, each in self.extractors.items()}

    def scores(self, generated: Mapping[str, Features]) -> dict[str, float]:
        """Every measure of samples that have these features."""
        parted = {name: name.split("_", 1) for name in self.names}
        return {name: SCORES[score](generated[of], self.references[of]) for name, (score, of) in parted.items()}


def spread(n: int, count: int) -> Indices:
    """n places among `count`, spread evenly."""
    return torch.arange(n) * count // n


def nodes(cfg: DictConfig) -> dict[str, Any]:
    """The features that trainer.measures goes by, as their YAML files say; ValueError where one is no measure."""
    if not (names := cfg.trainer.measures):
        return {}
    hydra = GlobalHydra.instance().hydra
    assert hydra is not None
    choices = hydra.config_loader.get_group_options("features")
    known = [f"{score}_{each}" for score in SCORES for each in choices]
    for name in names:
        if name not in known:
            raise ValueError(f"trainer.measures must be among {', '.join(known)}, but {name!r} is not")
    wanted = dict.fromkeys(name.split("_", 1)[1] for name in names)
    return {each: OmegaConf.to_container(compose("compare", [f"features={each}"]).features) for each in wanted}


@torch.no_grad()
def extractors(nodes: Mapping[str, Any], trust: Sequence[str], shape: Sequence[int]) -> dict[str, Extract]:
    """The extractors of these nodes, each tried on a black image of `shape`."""
    found: dict[str, Extract] = {}
    for name, node in nodes.items():
        found[name] = bind(OmegaConf.create({"features": node, "trust": list(trust)}), "features")
        found[name](torch.zeros(1, *shape, dtype=torch.uint8))
    return found
