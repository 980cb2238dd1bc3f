"""Generated images judged by features: which features a metric takes, and what it makes of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import torch
from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from ddpm_cli.config import build, plain
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
from ddpm_cli.metrics.copies import FEWEST
from ddpm_cli.runs.feature_sets import Wanted
from ddpm_cli.shapes import Features, Others

FAMILIES = ("fd", "kid", "prc", "is", "copies")
PUBLISHED = {"fid": "fd_inception", "kid": "kid_inception", "prc": "prc_inception", "is": "is_inception", "copies": "copies_pixels"}
NEIGHBOURS = 3  # of precision and recall (Kynkäänniemi et al. 2019)
Known: TypeAlias = Mapping[Wanted, Features]


def by_name(metrics: Sequence[str]) -> list[str]:
    """The metrics by their full names, FAMILY_FEATURES, each once; ValueError names one that there is not."""
    hydra = GlobalHydra.instance().hydra
    assert hydra is not None
    known = hydra.config_loader.get_group_options("features")
    for asked in metrics:
        family, _, features = PUBLISHED.get(asked, asked).partition("_")
        if asked != "nll" and (family not in FAMILIES or features not in known):
            families = ", ".join(f"{each}_" for each in FAMILIES)
            told = f"nll, {', '.join(PUBLISHED)}, or one of {families} with one of {', '.join(known)}"
            raise ValueError(f"metrics must be {told}, but one is {asked!r}")
    return list(dict.fromkeys(PUBLISHED.get(asked, asked) for asked in metrics))


def nodes(metrics: Sequence[str]) -> dict[str, object]:
    """The nodes of the features that metrics go by."""
    names = [name.partition("_")[2] for name in metrics if name != "nll"]
    return {name: plain(compose("compare", [f"features={name}"]).features) for name in dict.fromkeys(names)}


def extractors(
    found: Mapping[str, object], metrics: Sequence[str], trust: Sequence[str], device: torch.device, shape: Sequence[int]
) -> dict[str, Extractor]:
    """The extractors of nodes, tried on a black image; ValueError where one has not what a metric needs."""
    made: dict[str, Extractor] = {}
    for name, node in found.items():
        made[name] = build(OmegaConf.create({"features": node, "trust": list(trust)}), "features", device)
        made[name].extract(torch.zeros(1, *shape, dtype=torch.uint8))
        if f"is_{name}" in metrics and made[name].head is None:
            raise ValueError(f"is_{name} needs features with classes, as inception and lite0 are, but {name} has none")
    return made


def wanted(metric: str, reference: str, held_out: int) -> list[Wanted]:
    """The features that a metric takes."""
    family, _, by = metric.partition("_")
    generated = Wanted("generated", by)
    if family == "copies":
        unseen = "held_out" if held_out >= FEWEST else "training"
        sets = [("generated", True), ("training", False), (unseen, False), (unseen, True)]
        return [generated, *(Wanted(of, by, mirrored) for of, mirrored in sets)]
    return [generated] if family == "is" else [generated, Wanted(reference, by)]


def numbers(metric: str, known: Known, reference: str, extractor: Extractor) -> dict[str, Number]:
    """What a metric finds, by the names of its numbers."""
    family, _, by = metric.partition("_")
    generated, theirs = known[Wanted("generated", by)], known.get(Wanted(reference, by))
    if theirs is None:
        assert extractor.head is not None
        return {metric: class_score(extractor.head(generated))}
    return FOUND[family](by, generated, theirs)


def distances(by: str, generated: Features, reference: Others) -> dict[str, Number]:
    """The Fréchet distance of these images, and of endlessly many."""
    against = moments(reference)
    return {f"fd_{by}": frechet(generated, against), f"fd_{by}_infinity": frechet_infinity(generated, against)}


def shares(by: str, generated: Features, reference: Others) -> dict[str, Number]:
    """Precision and recall."""
    return {f"{name}_{by}": number for name, number in precision_recall(generated, reference, k=NEIGHBOURS).items()}


def copied(by: str, known: Known) -> Copies:
    """The copies of training images among the generated ones."""
    held_out, turned = known.get(Wanted("held_out", by)), known.get(Wanted("held_out", by, True))
    return copies(
        known[Wanted("generated", by)],
        known[Wanted("generated", by, True)],
        known[Wanted("training", by)],
        held_out=held_out if turned is not None else None,
        held_out_mirrored=turned,
        training_mirrored=known.get(Wanted("training", by, True)),
    )


FOUND: dict[str, Callable[[str, Features, Others], dict[str, Number]]] = {
    "fd": distances,
    "kid": lambda by, generated, reference: {f"kid_{by}": kernel_distance(generated, reference)},
    "prc": shares,
}
