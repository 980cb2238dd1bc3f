"""The inputs of a search: the checkpoint, what it can vary, and what all settings are judged by."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from ddpm_cli.checkpoints import WEIGHTS, Checkpoint, existing_file, file_hash
from ddpm_cli.commands.tune.measure import REFERENCE, TuneInputs
from ddpm_cli.commands.tune.options import Options
from ddpm_cli.commands.tune.search import best_scale, planned_settings
from ddpm_cli.commands.tune.variant import Variant
from ddpm_cli.comparison.choices import check_names, guider_config, sampler_config
from ddpm_cli.comparison.reference import Reference, load_prepared_reference, reference_part
from ddpm_cli.components import load_denoiser
from ddpm_cli.config.composition import compose_present
from ddpm_cli.config.yaml_options import command_groups
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.evaluation.extractor_config import build_extractors, feature_nodes
from ddpm_cli.evaluation.feature_cache import FeatureCache
from ddpm_cli.evaluation.metric_registry import full_names
from ddpm_cli.evaluation.protocol import Protocol
from ddpm_cli.even_indices import evenly_spaced
from ddpm_cli.files import user_path
from ddpm_cli.generation.build import load_guide
from ddpm_cli.generation.options import GenerationOptions
from ddpm_cli.generation.settings_text import steering_text
from ddpm_cli.hardware import prepare_for_sampling
from ddpm_cli.hardware.graphs import replay_on_cuda
from ddpm_cli.hub.address import is_address
from ddpm_cli.image_sets import ImageSet
from ddpm_cli.metrics import Extractor
from ddpm_cli.parallel import ProcessGroup

MOST = 10_000  # reference images, spread evenly over the data


def load_checkpoint(options: Options) -> Checkpoint:
    """Load the last checkpoint of the run. Raises ValueError for a model on the hub."""
    if is_address(options.run):
        raise ValueError("run must be a run or a checkpoint on this machine, beside which to write")
    return Checkpoint.load(existing_file(user_path(options.run)), [WEIGHTS["ema"]])


def sampling_denoiser(checkpoint: Checkpoint, options: Options) -> Denoiser:
    """The denoiser of a checkpoint's EMA, ready to sample."""
    device, trust = options.device, options.trust
    denoiser = load_denoiser(checkpoint, weights="ema", device=device, trust=trust)
    network = replay_on_cuda(prepare_for_sampling(denoiser.network, "fp32"))
    return replace(denoiser, network=network)


def shared_generation(cfg: DictConfig, denoiser: Denoiser) -> GenerationOptions:
    """The options that all settings share."""
    names = ("seed", "label", "threshold", "quantile")
    options = GenerationOptions(**{name: cfg[name] for name in names})
    return options.of_model(denoiser.conditional)


def load_tune_inputs(
    cfg: DictConfig,
    options: Options,
    checkpoint: Checkpoint,
    denoiser_of: Callable[[float | None], Denoiser],
) -> tuple[TuneInputs, Reference]:
    """Build what all settings share, and the reference. Raises ValueError for bad options."""
    check_names("sampler", options.samplers)
    check_names("guider", options.guiders)
    denoiser, shape, classes = denoiser_of(None), checkpoint.shape, checkpoint.classes
    generation = shared_generation(cfg, denoiser)
    guided = replace(generation, guide=options.guide, guidance=2.0) if options.guide else generation
    guide = load_guide(guided, denoiser, shape, classes, options.device, options.trust)
    samplers = sampler_nodes(options)
    guiders = {name: guider_config(name, options.trust).guider for name in options.guiders}
    metric = full_names([options.measure])[0]
    extractors = build_extractors(feature_nodes([metric]), options.trust, denoiser.device, shape)
    data, folder = load_prepared_reference(cfg, checkpoint, options.trust, shape)
    reference = few_images(reference_part(data, checkpoint, generation.label))
    cache = reference_cache(reference.part, extractors, denoiser.device, folder)
    (extractor,), weights = extractors.values(), checkpoint.weights_text("ema")
    steering = steering_text(guided)
    protocol = search_protocol(metric, extractor.name, reference, options, steering, weights)
    inputs = TuneInputs(
        options=options,
        generation=generation,
        shape=shape,
        classes=classes,
        guide=guide,
        samplers=samplers,
        guiders=guiders,
        denoiser_of=denoiser_of,
        cache=cache,
        metric=metric,
        protocol=protocol.text,
        origin=f"{file_hash(str(checkpoint.path))} | {denoiser.device.type}",
    )
    return inputs, reference


def sampler_nodes(options: Options) -> dict[str, DictConfig]:
    """The node of each sampler by its name: those to try, and the default of ddpm-sample."""
    names = {command_groups("sample")["sampler"], *options.samplers}
    return {name: sampler_config(name, 1, options.trust).sampler for name in names}


def reference_cache(
    part: ImageSet, extractors: Mapping[str, Extractor], device: torch.device, folder: Path | None
) -> FeatureCache:
    """The cache of the reference's features, in the folder of its images if they have one."""
    images, fingerprints = {REFERENCE: part.images}, {REFERENCE: part.fingerprint}
    return FeatureCache(images, fingerprints, extractors, device, folder, ProcessGroup())


def search_protocol(
    metric: str, by: str, reference: Reference, options: Options, steering: str, weights: str
) -> Protocol:
    """The protocol of all settings, as ddpm-eval names it. steering: of all settings."""
    return Protocol(
        metric=metric,
        by=by,
        images=reference.protocol_text,
        n=options.n,
        sampler="sampler and steps of the setting",
        steering=steering,
        seed=options.seed,
        weights=weights,
        precision="fp32",
    )


def few_images(reference: Reference) -> Reference:
    """The reference with at most 10,000 images, which are enough to tell settings apart."""
    part = reference.part
    if (count := len(part.images)) <= MOST:
        return reference
    places = torch.arange(count) if part.places is None else part.places
    few = reference.data.subset(places[torch.tensor(evenly_spaced(count, MOST))])
    return replace(reference, part=few)


def start_setting(steps: int) -> Variant:
    """The setting of ddpm-sample without options. steps: of the diffusion."""
    name = command_groups("sample")["sampler"]
    own = compose_present("sample", [f"sampler={name}"]).sampler.steps
    return Variant(name, own if own == "all" else min(own, steps))


def check_settings(
    inputs: TuneInputs, start: Variant, values: Mapping[str, Sequence[Any]], denoiser: Denoiser
) -> None:
    """Take a step of one image with each setting around the start.

    Raises ValueError for what cannot draw.
    """
    for setting in planned_settings(
        start, values, best_scale({}, values.get("guidance", ())), set()
    ):
        try:
            list(islice(inputs.generator(setting, denoiser).trajectory([0]), 2))
        except ValueError as error:
            raise ValueError(f"{setting.changes_from(start)}: {error}") from error
