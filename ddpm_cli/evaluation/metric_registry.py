"""The registry of metrics: their names, the features that each takes, and its numbers."""

from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

from ddpm_cli.config.composition import choices
from ddpm_cli.config.other_names import meant_value
from ddpm_cli.evaluation.feature_cache import FeatureKey
from ddpm_cli.metrics import (
    Copies,
    Extractor,
    Moments,
    Number,
    class_score,
    copies,
    density_coverage,
    frechet,
    frechet_infinity,
    gaussian_distance,
    kernel_distance,
    moments,
    precision_recall,
)
from ddpm_cli.metrics.memorization import FEWEST
from ddpm_cli.shapes import Features

FAMILIES = ("fd", "kid", "cmmd", "prc", "dc", "is", "copies")
WITHOUT_REFERENCE = ("nll", "cas", "is", "copies")  # families; copies take the training images
PUBLISHED = {
    "fid": "fd_inception",
    "sfid": "fd_inception_spatial",
    "kid": "kid_inception",
    "cmmd": "cmmd_clip_l14",
    "prc": "prc_inception",
    "dc": "dc_inception",
    "is": "is_inception",
    "copies": "copies_pixels",
}
FEATURELESS = ("nll", "cas")  # metrics without features
NEIGHBOURS = 3  # the k of precision and recall (Kynkäänniemi et al. 2019)
NEIGHBOURHOOD = 5  # the k of density and coverage (Naeem et al. 2020)
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
            meant = meant_metric(metric, {f"{each}_{by}" for each in FAMILIES for by in known})
            raise ValueError(
                f"metrics must be {', '.join([*FEATURELESS, *PUBLISHED])}, or one of {prefixes} "
                f"with one of {', '.join(known)}, but one is {metric!r}"
                + f"; did you mean {meant}?"
                * bool(meant)
            )
    return list(dict.fromkeys(names))


def meant_metric(name: str, known: Collection[str]) -> str:
    """The metric that another program's name stands for, or ''. known: names with features."""
    family, _, by = name.partition("_")
    own = f"{meant_value('metrics', family, FAMILIES)}_{by}"
    return own if own in known else meant_value("metrics", name, (*FEATURELESS, *PUBLISHED, *known))


def most_neighbours(metrics: Sequence[str]) -> int:
    """The number of neighbours that each image of a reference must have at least."""
    return NEIGHBOURHOOD if any(name.startswith("dc_") for name in metrics) else NEIGHBOURS


def required_features(
    metric: str, reference: str, held_out: int, *, stored: Collection[str] = ()
) -> list[FeatureKey]:
    """The features that a metric takes; the generated images' features come first.

    stored: the features whose moments in the reference are known.
    """
    family, _, by = metric.partition("_")
    keys = [FeatureKey("generated", by)]
    if family == "copies":
        unseen = "held_out" if held_out >= FEWEST else "training"
        keys += [FeatureKey("generated", by, True), FeatureKey("training", by)]
        return [*keys, FeatureKey(unseen, by), FeatureKey(unseen, by, True)]
    alone = family == "is" or (family == "fd" and by in stored)
    return keys if alone else [*keys, FeatureKey(reference, by)]


def metric_numbers(
    metric: str,
    features: FeaturesByKey,
    reference: str,
    extractor: Extractor,
    stored: Moments | None = None,
) -> dict[str, Number]:
    """The numbers of a metric by their names. stored: the known moments of the reference."""
    family, _, by = metric.partition("_")
    generated = features[FeatureKey("generated", by)]
    if family == "is" and extractor.head is not None:
        return {metric: class_score(extractor.head(generated).cpu())}
    if stored is not None:
        return frechet_numbers(metric, generated, stored)
    others = features[FeatureKey(reference, by)]
    if family == "kid":
        return {metric: kernel_distance(generated, others)}
    if family == "cmmd":
        return {metric: gaussian_distance(generated, others)}
    if family == "fd":
        return frechet_numbers(metric, generated, moments(others))
    if family == "prc":
        numbers = precision_recall(generated, others, k=NEIGHBOURS)
    else:
        numbers = density_coverage(generated, others, k=NEIGHBOURHOOD)
    return {f"{name}_{by}": number for name, number in numbers.items()}


def frechet_numbers(metric: str, generated: Features, against: Moments) -> dict[str, Number]:
    """The Fréchet distance, and that of infinitely many images."""
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
