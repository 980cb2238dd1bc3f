"""Generated images on the bench: all that judges them made ready, their features looked at, the numbers computed."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from ddpm_cli import checkpoints
from ddpm_cli.commands.evaluate.copies_sheet import copies_sheet
from ddpm_cli.commands.evaluate.generated import GeneratedImages, draw_missing, prepare_generated
from ddpm_cli.commands.evaluate.inputs import EvaluationInputs
from ddpm_cli.data.cache import cache_root
from ddpm_cli.evaluation import metric_names
from ddpm_cli.evaluation.feature_cache import FeatureCache, FeatureKey
from ddpm_cli.evaluation.protocol import MetricResult, Protocol
from ddpm_cli.metrics import Copies, Extractor
from ddpm_cli.rendering.tiles import save_png
from ddpm_cli.shapes import Features

ENOUGH = 8  # images for each feature: from there on the line to endlessly many images is straight (see frechet_infinity)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationRun:
    """The generated images of a subject, the metrics that judge them, and the sets whose features these take."""

    subject: EvaluationInputs
    metrics: list[str]
    images: GeneratedImages
    sets: FeatureCache

    def extractor(self, metric: str) -> Extractor:
        """The extractor that a metric goes by."""
        return self.sets.extractors[metric.partition("_")[2]]


def build_evaluation(
    subject: EvaluationInputs, asked: DictConfig, nodes: Mapping[str, object]
) -> EvaluationRun:
    """Builds all that the images are drawn and judged with; ValueError says what is missing."""
    options, parts, device = subject.options, subject.parts, subject.denoiser.device
    for name in dict.fromkeys(options.parts):
        if (count := len(parts[name].images)) <= metric_names.NEIGHBOURS:
            raise ValueError(
                f"the {name} images must be more than {metric_names.NEIGHBOURS} to be compared with, but are {count}"
            )
    metrics, shape = (
        [name for name in options.metrics if name != "nll"],
        subject.checkpoint.shape,
    )
    extractors = subject.group.first_then_others(
        lambda: metric_names.build_extractors(nodes, options.trust, device, shape)
    )
    for name in [
        name for name, each in extractors.items() if f"is_{name}" in metrics and each.head is None
    ]:
        raise ValueError(
            f"is_{name} needs features with classes, as inception and lite0 are, but {name} has none"
        )
    images = prepare_generated(subject, asked)
    pictures = {name: part.images for name, part in parts.items()} | {"generated": images.pictures}
    fingerprints = {name: part.fingerprint for name, part in parts.items()}
    kept = None if subject.preparation.cache in ("ram", "off") else cache_root(subject.preparation)
    return EvaluationRun(
        subject,
        metrics,
        images,
        FeatureCache(pictures, fingerprints, extractors, device, kept, subject.group),
    )


def generated_lines(bench: EvaluationRun, done: int) -> Iterator[str]:
    """What is judged, by which images, and what is there already."""
    options, every, part = (
        bench.subject.options,
        bench.subject.parts["all"],
        bench.subject.parts[bench.subject.options.reference],
    )
    yield f"generated  {len(bench.images.pictures):,} images by {bench.images.sampler}"
    if done:
        yield f"resumed    {min(done, options.samples):,} of {options.samples:,} images are there"
    yield f"reference  {len(part.images):,} of {len(every.images):,} images, reference={options.reference}"


def collect_features(bench: EvaluationRun, done: set[int]) -> dict[FeatureKey, Features]:
    """Draws the images that are not there yet, and finds the features that the metrics take."""
    draw_missing(bench.subject, bench.images, done)
    held_out = len(bench.subject.parts["held_out"].images)
    wanted = [
        each
        for name in bench.metrics
        for each in metric_names.required_features(name, bench.subject.options.reference, held_out)
    ]
    found = {each: bench.sets.found(each) for each in dict.fromkeys(wanted)}
    for metric in [name for name in bench.metrics if name.startswith("fd_")]:
        images, dimensions = found[FeatureKey("generated", metric.removeprefix("fd_"))].shape
        if images < ENOUGH * dimensions and bench.subject.group.is_first:
            told = "warning: %s images are few for %s features: %s is too large, and %s_infinity is to be trusted from %s images on"
            log.warning(
                told, f"{images:,}", f"{dimensions:,}", metric, metric, f"{ENOUGH * dimensions:,}"
            )
    return found


def compute_numbers(
    bench: EvaluationRun, known: Mapping[FeatureKey, Features]
) -> tuple[list[MetricResult], dict[str, Copies]]:
    """All numbers, in the order that was asked for, and the copies by the metrics that tell them, which are shown."""
    copies: dict[str, Copies] = {}
    found: list[MetricResult] = []
    for metric in bench.metrics:
        if metric.startswith("copies_"):
            copies[metric] = metric_names.find_copies(metric, known)
            numbers = {metric: copies[metric].share}
            write_copies_sheet(bench, metric, copies[metric])
        else:
            numbers = metric_names.metric_numbers(
                metric, known, bench.subject.options.reference, bench.extractor(metric)
            )
        found += [
            MetricResult(name, number, metric_protocol(bench, metric))
            for name, number in numbers.items()
        ]
    return found, copies


def write_copies_sheet(bench: EvaluationRun, metric: str, copies: Copies) -> None:
    """Writes the sheet of copies."""
    path = bench.subject.folder / f"{metric}.png"
    save_png(
        path, copies_sheet(copies, bench.images.pictures, bench.subject.parts["training"].images)
    )
    log.info("written    %s", path)


def metric_protocol(bench: EvaluationRun, metric: str) -> Protocol:
    """How the numbers of a metric come about."""
    options, images, n = bench.subject.options, bench.images, len(bench.images.pictures)
    wanted = metric_names.required_features(
        metric, options.reference, len(bench.subject.parts["held_out"].images)
    )
    parts = dict.fromkeys(each.of for each in wanted if each.of != "generated")
    against = ", ".join(
        f"{bench.sets.fingerprints[name][:10]} {len(bench.sets.pictures[name]):,} {name}"
        for name in parts
    )
    drawn: dict[str, Any] = {
        "seed": options.seed,
        "weights": options.weights,
        "precision": options.precision,
    }
    return Protocol(
        metric=metric,
        by=bench.extractor(metric).name,
        images=f"ref {against}" if against else "",
        n=n,
        sampler=images.sampler,
        steering=images.steering,
        **(drawn if images.drawing else {"seed": None, "weights": "", "precision": ""}),
        version=checkpoints.environment()["ddpm-cli"],
    )
