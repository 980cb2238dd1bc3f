"""Cost and distance of one setting."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import torch
from omegaconf import DictConfig
from tqdm import tqdm

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.commands.compare.options import Options
from ddpm_cli.commands.compare.tradeoff import SettingResult, setting_title
from ddpm_cli.comparison.choices import sampler_config
from ddpm_cli.comparison.drawing import count_batches, count_calls, draw_batches
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.generation.build import load_guide
from ddpm_cli.generation.generator import Generator, check_label
from ddpm_cli.generation.guidance import guider_node
from ddpm_cli.generation.options import GenerationOptions
from ddpm_cli.metrics import Extractor, Moments, extract_features, frechet_distance, moments
from ddpm_cli.shapes import Bytes
from ddpm_cli.text import align

COLUMNS = ("sampler", "steps", "evaluations", "seconds", "distance")
NUMBERS = range(1, len(COLUMNS))
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Setting:
    """A sampler with its options, in the generator that draws with it."""

    name: str
    generator: Generator


@dataclass(frozen=True)
class ComparisonInputs:
    """The inputs of all settings: the model, the features, and the moments of the reference."""

    options: Options
    denoiser: Denoiser
    shape: Sequence[int]
    extractor: Extractor
    reference: Moments


def build_settings(
    cfg: DictConfig,
    options: Options,
    generation: GenerationOptions,
    denoiser: Denoiser,
    checkpoint: Checkpoint,
) -> Iterator[Setting]:
    """Yield every setting, once its options are checked and one step of one image succeeds."""
    shape, classes = checkpoint.shape, checkpoint.classes
    generation = generation.of_model(denoiser.conditional)
    check_label(generation.label, denoiser, classes)
    guider_node(cfg, generation)
    guide = load_guide(generation, denoiser, shape, classes, options.device, options.trust)
    for name in options.samplers:
        for steps in options.steps:
            try:
                own = sampler_config(name, steps, options.trust)
                own.guider = cfg.get("guider")
                generator = Generator.from_config(own, denoiser, generation, shape, classes, guide)
                list(islice(generator.trajectory([0]), 2))
            except ValueError as error:
                raise ValueError(f"{name} with steps={steps}: {error}") from error
            yield Setting(name, generator)


def measure_settings(
    settings: Sequence[Setting], inputs: ComparisonInputs
) -> Iterator[tuple[SettingResult, Bytes]]:
    """Measure each setting and log its result; yield the result and a few of the images."""
    options = inputs.options
    known = [COLUMNS, *((each.name, str(each.generator.steps), "", "", "") for each in settings)]
    log.info("%s", align(known, right=NUMBERS)[0])
    steps = -(-options.n // options.batch) * sum(each.generator.steps for each in settings)
    with tqdm(total=steps, unit=" steps", dynamic_ncols=True) as bar:
        for setting in settings:
            bar.set_description(setting_title(setting.name, setting.generator.steps))
            result, images = measure_setting(setting, inputs, bar.update)
            log.info("%s", align([*known, result.cells], right=NUMBERS)[-1])
            yield result, images[: options.columns]


def measure_setting(
    setting: Setting, inputs: ComparisonInputs, advance: Callable[[int], object]
) -> tuple[SettingResult, Bytes]:
    """Draw images with one setting and measure them; only the drawing is timed."""
    generator, options = setting.generator, inputs.options
    with count_batches(inputs.denoiser.network) as sizes:
        since = time.perf_counter()
        guide = generator.guide and count_calls(generator.guide, sizes)
        generator = replace(generator, guide=guide)
        images = torch.cat(list(draw_batches(generator, range(options.n), options.batch, advance)))
        seconds = time.perf_counter() - since
    features = extract_features(inputs.extractor.extract, images)
    distance = frechet_distance(inputs.reference, moments(features))
    evaluations = sum(sizes) / len(images)
    return SettingResult(setting.name, generator.steps, evaluations, seconds, distance), images
