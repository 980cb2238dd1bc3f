"""The measurement of one setting: its images, their features, and their score."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from ddpm_cli.checkpoints import checkpoint_path, existing_file
from ddpm_cli.commands.tune.options import Options
from ddpm_cli.commands.tune.store import Measurement
from ddpm_cli.commands.tune.variant import Variant
from ddpm_cli.comparison.drawing import draw_batches
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.evaluation.feature_cache import FeatureCache, FeatureKey
from ddpm_cli.generation.generator import Generator
from ddpm_cli.generation.options import GenerationOptions
from ddpm_cli.metrics import Score, frechet_score, kernel_score, moments
from ddpm_cli.metrics.frechet import symmetric_root
from ddpm_cli.metrics.kernel import row_means
from ddpm_cli.samplers import Denoise
from ddpm_cli.shapes import Features

REFERENCE = "reference"


@dataclass(frozen=True)
class TuneInputs:
    """What all settings share.

    generation: the options of all images. guide: the weaker model of autoguidance. samplers,
    guiders: the node of each by its name. denoiser_of: the denoiser of an EMA length. cache: the
    extractor of the features, and the reference. metric: the full name. protocol: how all are
    measured. origin: the checkpoint by its hash, and the kind of device.
    """

    options: Options
    generation: GenerationOptions
    shape: Sequence[int]
    classes: Sequence[str]
    guide: Denoise | None
    samplers: Mapping[str, DictConfig]
    guiders: Mapping[str, DictConfig]
    denoiser_of: Callable[[float | None], Denoiser]
    cache: FeatureCache
    metric: str
    protocol: str
    origin: str

    @cached_property
    def reference_features(self) -> Features:
        """The features of the reference, extracted when first asked for."""
        return self.cache.features(FeatureKey(REFERENCE, next(iter(self.cache.extractors))))

    @cached_property
    def score(self) -> Callable[[Features], Score]:
        """The metric of features, against the features of the reference."""
        features = self.reference_features
        if self.metric.startswith("kid"):
            alike = float(row_means(features, features, itself=True).mean())
            return lambda generated: kernel_score(generated, features, alike)
        against = moments(features)
        side = symmetric_root(against.covariance)
        return lambda generated: frechet_score(generated, against, side)

    def generator(self, setting: Variant, denoiser: Denoiser) -> Generator:
        """The generator of a setting."""
        interval = None if setting.interval is None else list(setting.interval)
        is_guided = setting.guidance != 1
        options = replace(
            self.generation,
            guidance=setting.guidance,
            guidance_interval=interval,
            guide=self.options.guide if is_guided else None,
        )
        cfg = OmegaConf.create({"trust": self.options.trust})
        cfg.sampler = self.samplers[setting.sampler].copy()
        cfg.sampler.steps = setting.steps
        cfg.guider = None if setting.guider is None else self.guiders[setting.guider].copy()
        guide = self.guide if is_guided else None
        return Generator.from_config(cfg, denoiser, options, self.shape, self.classes, guide)

    def shared_options(self, setting: Variant) -> dict[str, Any]:
        """The options of ddpm-sample that all settings share and that are not its defaults.

        A setting without guidance has no guide.
        """
        defaults, options = GenerationOptions(), dict[str, Any]()
        for name in ("threshold", "quantile"):
            if (value := getattr(self.generation, name)) != getattr(defaults, name):
                options[name] = value
        if self.options.guide is not None and setting.guidance != 1:
            guide = existing_file(checkpoint_path(self.options.guide))
            options["guide"] = str(guide.absolute())
        return options

    def text(self, setting: Variant, indices: range) -> str:
        """All that decides the measurement of a setting."""
        images = f"images {indices.start} to {indices.stop - 1}"
        return f"{self.protocol} | {self.origin} | {images} | {json.dumps(setting.plain())}"


def measure_variant(
    inputs: TuneInputs, setting: Variant, indices: range, advance: Callable[[int], object]
) -> Measurement:
    """Draw the images of a setting, and measure them; `advance` counts the steps."""
    options, since = inputs.options, time.perf_counter()
    generator = inputs.generator(setting, inputs.denoiser_of(setting.length))
    images = torch.cat(list(draw_batches(generator, indices, options.batch, advance)))
    drawing, since = time.perf_counter() - since, time.perf_counter()
    by = next(iter(inputs.cache.extractors))
    cache = replace(inputs.cache, images={"generated": images})
    score = inputs.score(cache.features(FeatureKey("generated", by)))
    extracting = time.perf_counter() - since
    return Measurement(score, drawing, extracting, images[: options.columns])
