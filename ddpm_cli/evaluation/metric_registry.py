"""The registry of metrics: their names, the features that each takes, and its numbers."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from ddpm_cli.config.composition import choices
from ddpm_cli.config.other_names import meant_value
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
FEATURELESS = ("nll", "cas")  # metrics without features
NEIGHBOURS = 3  # the k of precision and recall (Kynkäänniemi et al. 2019)
FeaturesByKey: TypeAlias = Mapping[FeatureKey, Features]


def full_names(metrics: Sequence[str]) -> list[str]:
    """The full names FAMILY_FEATURES of metrics, each once.

    Raises ValueError for an unknown metric.
    """
    known = choices("features")
    names = [PUBLISHED.get(name, name) for name in metrics]
    for metric, name in zip(metrics, names, strict=True):
        family, _, by = name.partition("_")
        if name not in FEATURELESS and (family not in FAMILIES or by not in known):
            prefixes = ", ".join(f"{each}_" for each in FAMILIES)
            meant = meant_value("metrics", metric, (*FEATURELESS, *PUBLISHED))
            raise ValueError(
                f"metrics must be {', '.join([*FEATURELESS, *PUBLISHED])}, or one of {prefixes} "
                f"with one of {', '.join(known)}, but one is {metric!r}"
                + f"; did you mean {meant}?"
                * bool(meant)
            )
    return list(dict.fromkeys(names))


def required_features(metric: str, reference: str, held_out: int) -> list[FeatureKey]:
    """The features that a metric takes; the generated images' features come first."""
    family, _, by = metric.partition("_")
    keys = [FeatureKey("generated", by)]
    if family == "copies":
        unseen = "held_out" if held_out >= FEWEST else "training"
        keys += [FeatureKey("generated", by, True), FeatureKey("training", by)]
        return [*keys, FeatureKey(unseen, by), FeatureKey(unseen, by, True)]
    return keys if family == "is" else [*keys, FeatureKey(reference, by)]


def metric_numbers(
    metric: str, features: FeaturesByKey, reference: str, extractor: Extractor
) -> dict[str, Number]:
    """The numbers of a metric by their names."""
    family, _, by = metric.partition("_")
    generated = features[FeatureKey("generated", by)]
    if family == "is" and extractor.head is not None:
        return {metric: class_score(extractor.head(generated).cpu())}
    others = features[FeatureKey(reference, by)]
    if family == "kid":
        return {metric: kernel_distance(generated, others)}
    if family == "prc":
        numbers = precision_recall(generated, others, k=NEIGHBOURS)
        return {f"{name}_{by}": number for name, number in numbers.items()}
    against = moments(others)
    return {
        metric: frechet(generated, against),
        f"{metric}_infinity": frechet_infinity(generated, against),
    }


def find_copies(metric: str, features: FeaturesByKey) -> Copies:
    """Find the copies of training images among the generated images."""
    by = metric.partition("_")[2]
    held_out_mirrored = features.get(FeatureKey("held_out", by, True))
    return copies(
        features[FeatureKey("generated", by)],
        features[FeatureKey("generated", by, True)],
        features[FeatureKey("training", by)],
        held_out=None if held_out_mirrored is None else features[FeatureKey("held_out", by)],
        held_out_mirrored=held_out_mirrored,
        training_mirrored=features.get(FeatureKey("training", by, True)),
    )
