"""Metrics by name: which features one takes of which images, and what it makes of them."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import torch
from hydra import compose
from omegaconf import OmegaConf

from ddpm_cli.config.build import build
from ddpm_cli.config.overrides import choices
from ddpm_cli.config.values import to_plain
from ddpm_cli.evaluation.feature_cache import FeatureKey
from ddpm_cli.metrics import (
    Copies,
    Extractor,
    Number,
    class_score,
    copies,
    frechet,
    frechet_infinity,
    kernel_distance,
    moments,
    precision_recall,
)
from ddpm_cli.metrics.memorization import FEWEST
from ddpm_cli.shapes import Features

FAMILIES = ("fd", "kid", "prc", "is", "copies")
PUBLISHED = {
    "fid": "fd_inception",
    "kid": "kid_inception",
    "prc": "prc_inception",
    "is": "is_inception",
    "copies": "copies_pixels",
}
NEIGHBOURS = 3  # of precision and recall (Kynkäänniemi et al. 2019)
Known: TypeAlias = Mapping[FeatureKey, Features]


def full_names(metrics: Sequence[str]) -> list[str]:
    """The metrics by their full names, FAMILY_FEATURES, each once; ValueError names one that there is not."""
    known = choices("features")
    for asked in metrics:
        family, _, by = PUBLISHED.get(asked, asked).partition("_")
        if asked != "nll" and (family not in FAMILIES or by not in known):
            told = f"nll, {', '.join(PUBLISHED)}, or one of {', '.join(f'{each}_' for each in FAMILIES)} with one of {', '.join(known)}"
            raise ValueError(f"metrics must be {told}, but one is {asked!r}")
    return list(dict.fromkeys(PUBLISHED.get(asked, asked) for asked in metrics))


def feature_nodes(metrics: Sequence[str]) -> dict[str, object]:
    """The nodes of the features that metrics go by."""
    names = dict.fromkeys(name.partition("_")[2] for name in metrics if name != "nll")
    return {name: to_plain(compose("compare", [f"features={name}"]).features) for name in names}


@torch.no_grad()
def build_extractors(
    nodes: Mapping[str, object], trust: Sequence[str], device: torch.device, shape: Sequence[int]
) -> dict[str, Extractor]:
    """The extractors of these nodes, each tried on a black image of `shape`."""
    found: dict[str, Extractor] = {}
    for name, node in nodes.items():
        found[name] = build(
            OmegaConf.create({"features": node, "trust": list(trust)}), "features", device
        )
        found[name].extract(torch.zeros(1, *shape, dtype=torch.uint8))
    return found


def required_features(metric: str, reference: str, held_out: int) -> list[FeatureKey]:
    """The features that a metric takes, those of the generated images first."""
    family, _, by = metric.partition("_")
    unseen = "held_out" if held_out >= FEWEST else "training"
    others = {
        "copies": [("generated", True), ("training", False), (unseen, False), (unseen, True)],
        "is": [],
    }
    return [
        FeatureKey("generated", by),
        *(
            FeatureKey(of, by, mirrored)
            for of, mirrored in others.get(family, [(reference, False)])
        ),
    ]


def metric_numbers(metric: str, known: Known, reference: str, by: Extractor) -> dict[str, Number]:
    """What a metric finds, by the names of its numbers."""
    family, _, name = metric.partition("_")
    generated = known[FeatureKey("generated", name)]
    if family == "is" and by.head is not None:
        return {metric: class_score(by.head(generated).cpu())}
    theirs = known[FeatureKey(reference, name)]
    if family == "kid":
        return {metric: kernel_distance(generated, theirs)}
    if family == "prc":
        return {
            f"{each}_{name}": number
            for each, number in precision_recall(generated, theirs, k=NEIGHBOURS).items()
        }
    against = moments(theirs)
    return {
        metric: frechet(generated, against),
        f"{metric}_infinity": frechet_infinity(generated, against),
    }


def find_copies(metric: str, known: Known) -> Copies:
    """The copies of training images among the generated ones."""
    by = metric.partition("_")[2]
    turned = known.get(FeatureKey("held_out", by, True))
    return copies(
        known[FeatureKey("generated", by)],
        known[FeatureKey("generated", by, True)],
        known[FeatureKey("training", by)],
        held_out=None if turned is None else known[FeatureKey("held_out", by)],
        held_out_mirrored=turned,
        training_mirrored=known.get(FeatureKey("training", by, True)),
    )
