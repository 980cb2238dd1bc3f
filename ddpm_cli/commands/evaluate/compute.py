"""The evaluation of generated images: build its parts, extract features, compute numbers."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from omegaconf import DictConfig

from ddpm_cli.commands.evaluate.classification import generated_labels, refuse_without_classes
from ddpm_cli.commands.evaluate.copies_sheet import copies_sheet
from ddpm_cli.commands.evaluate.generated import GeneratedImages, prepare_generated
from ddpm_cli.commands.evaluate.inputs import EvaluationInputs, part_text
from ddpm_cli.commands.evaluate.written_moments import WrittenMoments, written_moments
from ddpm_cli.console import fact
from ddpm_cli.evaluation import metric_registry
from ddpm_cli.evaluation.extractor_config import build_extractors
from ddpm_cli.evaluation.feature_cache import FeatureCache, FeatureKey
from ddpm_cli.evaluation.moments_file import StoredMoments, moment_names
from ddpm_cli.evaluation.protocol import MetricResult, Protocol
from ddpm_cli.generation.draw import draw_missing
from ddpm_cli.metrics import Copies, Extractor
from ddpm_cli.metrics.inception_score import SPLITS
from ddpm_cli.rendering.tiles import save_png
from ddpm_cli.shapes import Features

ENOUGH = 8  # images for each feature; frechet_infinity's line is straight from this number on
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationRun:
    """Generated images, the metrics that judge the images, and the features that metrics take.

    stored: the moments in the reference's file that fd takes, by features. written: the file that
    takes the reference's moments, if any.
    """

    inputs: EvaluationInputs
    metrics: list[str]
    generated: GeneratedImages
    cache: FeatureCache
    stored: Mapping[str, StoredMoments]
    written: WrittenMoments | None

    def moments_for(self, metric: str) -> StoredMoments | None:
        """The moments in the reference's file, if the metric takes them."""
        family, _, features = metric.partition("_")
        return self.stored.get(features) if family == "fd" else None

    def features_of(self, metric: str) -> list[FeatureKey]:
        """The features that a metric takes."""
        inputs = self.inputs
        return metric_registry.required_features(
            metric, inputs.reference, inputs.held_out, stored=self.stored
        )


def build_evaluation(
    cfg: DictConfig, inputs: EvaluationInputs, nodes: Mapping[str, object]
) -> EvaluationRun:
    """Build all that draws and judges the images.

    Raises ValueError if a part is missing.
    """
    options, parts, device = inputs.options, inputs.parts, inputs.denoiser.device
    metrics = [name for name in options.metrics if name not in metric_registry.FEATURELESS]
    fewest = metric_registry.most_neighbours(metrics)
    if "cas" in options.metrics:
        refuse_without_classes(inputs)
    for name in dict.fromkeys([*options.parts, inputs.reference]):
        if name in parts and (count := len(parts[name].images)) <= fewest:
            raise ValueError(
                f"the {name} images must be more than {fewest} to be compared with, but are {count}"
            )
    extractors = inputs.group.first_then_others(
        lambda: build_extractors(nodes, options.trust, device, inputs.checkpoint.shape)
    )
    stored = stored_moments(inputs, metrics, extractors)
    generated = prepare_generated(cfg, inputs)
    if "cas" in options.metrics:
        generated_labels(inputs, generated)  # refuses images without classes
    check_scores(metrics, extractors, len(generated.images))
    images = {name: part.images for name, part in parts.items()} | {"generated": generated.images}
    fingerprints = {name: part.fingerprint for name, part in parts.items()}
    folder = inputs.preparation.cache_folder
    cache = FeatureCache(images, fingerprints, extractors, device, folder, inputs.group)
    written = written_moments(inputs, metrics, cache, stored)
    return EvaluationRun(inputs, metrics, generated, cache, stored, written)


def check_scores(metrics: Sequence[str], extractors: Mapping[str, Extractor], count: int) -> None:
    """Refuse Inception scores of features without classes, and of too few images."""
    for name, extractor in extractors.items():
        if f"is_{name}" in metrics and extractor.head is None:
            raise ValueError(
                f"is_{name} needs features with classes, as inception and lite0 are, "
                f"but {name} has none"
            )
    if count < SPLITS and any(metric.startswith("is_") for metric in metrics):
        raise ValueError(f"is takes at least {SPLITS} images, one for each split, but has {count}")


def stored_moments(
    inputs: EvaluationInputs, metrics: Sequence[str], extractors: Mapping[str, Extractor]
) -> dict[str, StoredMoments]:
    """The moments in the reference's file that fd takes, by features.

    Raises ValueError for a metric that the file does not serve.
    """
    stored, black = {}, torch.zeros(1, *inputs.checkpoint.shape, dtype=torch.uint8)
    for metric in metrics:
        family, _, features = metric.partition("_")
        if inputs.file is None or family in metric_registry.WITHOUT_REFERENCE:
            continue
        extractor = extractors[features]
        count = extractor.extract(black).shape[1]
        if moments := inputs.file.fitting_moments(metric, extractor, count):
            stored[features] = moments
    return stored


def draw_and_extract(run: EvaluationRun, finished: set[int]) -> dict[FeatureKey, Features]:
    """Draw the missing images, and extract the features that the metrics take.

    Without samples these are the reference's.
    """
    options, group, drawn = run.inputs.options, run.inputs.group, run.generated.drawn
    if drawn is not None:
        n, batch_size = options.samples, options.batch
        draw_missing(drawn.generator, drawn.store, range(n), batch_size, finished, (), group)
        group.all_gather(None)  # each process waits until all images are drawn
    keys = dict.fromkeys(key for metric in run.metrics for key in run.features_of(metric))
    wanted = [key for key in keys if options.samples or key.of != "generated"]
    features = {key: run.cache.features(key) for key in wanted}
    for metric in [name for name in run.metrics if name.startswith("fd_") and options.samples]:
        images, dimensions = features[FeatureKey("generated", metric.removeprefix("fd_"))].shape
        if images < ENOUGH * dimensions and group.rank == 0:
            log.warning(
                "warning: %s images are few for %s features: %s is too large, "
                "and %s_infinity is to be trusted from %s images on",
                f"{images:,}",
                f"{dimensions:,}",
                metric,
                metric,
                f"{ENOUGH * dimensions:,}",
            )
    return features


def compute_numbers(
    run: EvaluationRun, features: Mapping[FeatureKey, Features]
) -> tuple[list[MetricResult], dict[str, Copies]]:
    """Compute all numbers in the order of the metrics, and write the sheets of copies.

    Returns the numbers, and the copies by metric.
    """
    copies: dict[str, Copies] = {}
    results: list[MetricResult] = []
    inputs = run.inputs
    for metric in run.metrics:
        extractor = run.cache.extractors[metric.partition("_")[2]]
        if metric.startswith("copies_"):
            copies[metric] = metric_registry.find_copies(metric, features)
            numbers = {metric: copies[metric].share}
            training, path = inputs.parts["training"].images, inputs.folder / f"{metric}.png"
            name = inputs.training_name
            save_png(path, copies_sheet(copies[metric], run.generated.images, training, name))
            fact("written", path)
        else:
            stored = run.moments_for(metric)
            against = None if stored is None else stored.moments
            numbers = metric_registry.metric_numbers(
                metric, features, inputs.reference, extractor, against
            )
        splits = f", {SPLITS} splits" * metric.startswith("is_")
        protocol = metric_protocol(run, metric, extractor.name + splits)
        results += [MetricResult(name, number, protocol) for name, number in numbers.items()]
    return results, copies


def metric_protocol(run: EvaluationRun, metric: str, by: str) -> Protocol:
    """The protocol of the numbers of a metric."""
    inputs, generated, cache = run.inputs, run.generated, run.cache
    parts = dict.fromkeys(key.of for key in run.features_of(metric) if key.of != "generated")
    against = ", ".join(
        f"{cache.fingerprints[part][:10]} {len(cache.images[part]):,} {part_text(inputs, part)}"
        for part in parts
    )
    if stored := run.moments_for(metric):
        names = " and ".join(moment_names(metric.removeprefix("fd_")))
        against = f"{stored.content_hash} {names} of a file"
    drawing: dict[str, Any] = {"seed": None, "weights": "", "precision": ""}
    if generated.drawn is not None:
        drawing = {name: getattr(inputs.generation, name) for name in drawing}
        drawing["weights"] = inputs.checkpoint.weights_text(drawing["weights"])
    return Protocol(
        metric=metric,
        by=by,
        images=f"ref {against}" if against else "",
        n=len(generated.images),
        sampler=generated.sampler,
        steering=generated.steering,
        **drawing,
    )
