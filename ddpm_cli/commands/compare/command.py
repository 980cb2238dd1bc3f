"""`ddpm-compare`: the same images by many samplers and numbers of steps, against the data."""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf

from ddpm_cli.checkpoints import WEIGHTS, Checkpoint, checkpoint_path
from ddpm_cli.commands.compare.measure import ComparisonInputs, build_settings, measure_settings
from ddpm_cli.commands.compare.options import Options
from ddpm_cli.commands.compare.tradeoff import (
    SettingResult,
    cheapest_setting,
    plot_tradeoff,
    tradeoff_csv,
)
from ddpm_cli.comparison.choices import check_names
from ddpm_cli.comparison.reference import (
    Floor,
    Reference,
    distance_within,
    load_reference,
    reference_part,
    shape_text,
)
from ddpm_cli.components import load_denoiser
from ddpm_cli.config.build import bind_options, build
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.config.schema import parse_options
from ddpm_cli.console import fact, logging_to
from ddpm_cli.evaluation.protocol import Protocol
from ddpm_cli.files import save_text
from ddpm_cli.generation.generator import Generator
from ddpm_cli.generation.labels import WITHOUT_CLASS
from ddpm_cli.generation.options import STEERING, GenerationOptions, drawing_groups, shared_options
from ddpm_cli.generation.settings_text import steering_text
from ddpm_cli.hardware import device_text, words_for_full_memory
from ddpm_cli.image_sets import ImageSet
from ddpm_cli.metrics import extract_features, moments
from ddpm_cli.rendering.captions import labelled_rows
from ddpm_cli.rendering.tiles import save_png
from ddpm_cli.shapes import Bytes

log = logging.getLogger(__name__)


@words_for_full_memory("choose a smaller batch, or device=cpu")
@torch.no_grad()
def compare(cfg: DictConfig, invocation: Invocation) -> None:
    """Measure every setting, and write the table and the pictures.

    Every option is checked before the first image is drawn.
    """
    groups = ["features", *drawing_groups(cfg), *["data"] * ("data" in cfg)]
    options = parse_options(cfg, Options, groups=groups, beside=shared_options(*STEERING))
    generation, folder = bind_options(GenerationOptions, cfg)(), invocation.folder
    check_names("sampler", options.samplers)
    checkpoint = Checkpoint.load(checkpoint_path(options.ckpt), [WEIGHTS[options.weights]])
    shape = checkpoint.shape
    denoiser = load_denoiser(
        checkpoint, weights=options.weights, device=options.device, trust=options.trust
    )
    settings = list(build_settings(cfg, options, generation, denoiser, checkpoint))
    first = settings[0].generator
    extractor = build(cfg, "features", denoiser.device)
    extractor.extract(torch.zeros(1, *shape, dtype=torch.uint8))
    data = load_reference(cfg, checkpoint, options.trust, shape)
    reference = reference_part(data, checkpoint, first.options.label)
    features = extract_features(extractor.extract, reference.part.images)
    floor, metric = distance_within(features, options.n), cfg.features._target_.rpartition(".")[2]
    inputs = ComparisonInputs(options, denoiser, shape, extractor, moments(features))
    weights = checkpoint.weights_text(options.weights)
    protocol = comparison_protocol(f"fd_{metric}", inputs, first, reference, weights)
    with logging_to(folder / "compare.log", aloud=True):
        log_comparison(inputs, first, checkpoint, reference, floor)
        fact("protocol", protocol.text)
        warn_of_reference(inputs, checkpoint, None if "data" in cfg else data)
        save_text(folder / "compare.yaml", OmegaConf.to_yaml(cfg))
        write_comparison(folder, floor, list(measure_settings(settings, inputs)))


def comparison_protocol(
    metric: str, inputs: ComparisonInputs, generator: Generator, reference: Reference, weights: str
) -> Protocol:
    """The protocol of all distances, as ddpm-eval names it; each row adds its sampler."""
    options = inputs.options
    return Protocol(
        metric=metric,
        by=inputs.extractor.name,
        images=reference.protocol_text,
        n=options.n,
        sampler="sampler and steps of the row",
        steering=steering_text(generator.options, generator.guider_text),
        seed=options.seed,
        weights=weights,
        precision=generator.options.precision,
    )


def log_comparison(
    inputs: ComparisonInputs,
    generator: Generator,
    checkpoint: Checkpoint,
    reference: Reference,
    floor: Floor,
) -> None:
    """Log what is compared."""
    options, dimensions = inputs.options, len(inputs.reference.mean)
    fact("device", device_text(inputs.denoiser.device))
    weights, shape = checkpoint.weights_text(options.weights), shape_text(inputs.shape)
    model = f"{weights} weights, images of {shape}"
    fact("checkpoint", f"{checkpoint.source}: {checkpoint.step_text}, {model}")
    fact("reference", f"{reference.summary}, {dimensions:,} features of each")
    if inputs.denoiser.conditional and generator.options.label is None:
        fact("label", WITHOUT_CLASS)
    if generator.options.label is not None or generator.guide is not None:
        fact("label", generator.summary)
    fact("floor", floor.summary(options.n))


def warn_of_reference(
    inputs: ComparisonInputs, checkpoint: Checkpoint, data: ImageSet | None
) -> None:
    """Warn of what makes the distances less reliable. data: the checkpoint's own images."""
    n, dimensions = inputs.options.n, len(inputs.reference.mean)
    if data is not None and not data.matches(checkpoint.fingerprint):
        log.warning(
            "warning: these are not the images that the checkpoint was trained on "
            "(their fingerprints differ)"
        )
    if n < dimensions:
        log.warning(
            "warning: n=%s images are fewer than their %s features: the distances are too large",
            n,
            dimensions,
        )


def write_comparison(
    folder: Path, floor: Floor, results: Sequence[tuple[SettingResult, Bytes]]
) -> None:
    """Write the table and the pictures, and log the setting to take."""
    points = [point for point, _ in results]
    best, cheap = min(points, key=lambda each: each.distance), cheapest_setting(points)
    cost = f"{cheap.title}: {cheap.evaluations:g} evaluations, distance {cheap.distance:.3f}"
    fact("cheapest", f"{cost}, within 5% of the best ({best.title}: {best.distance:.3f})")
    save_text(folder / "table.csv", tradeoff_csv(points))
    plot_tradeoff(folder / "pareto.png", points, floor)
    rows = [(point.title, images.numpy()) for point, images in results]
    save_png(folder / "contact.png", labelled_rows(rows))
    for name in ("table.csv", "pareto.png", "contact.png"):
        fact("written", folder / name)
