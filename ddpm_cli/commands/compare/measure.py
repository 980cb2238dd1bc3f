"""Cost and distance of one setting."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice

import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn
from tqdm import tqdm

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.commands.compare.options import Options
from ddpm_cli.commands.compare.tradeoff import SettingResult, setting_title
from ddpm_cli.config.composition import compose_present
from ddpm_cli.config.schema import check_groups
from ddpm_cli.denoiser import Denoiser, Estimate
from ddpm_cli.generation.build import load_guide
from ddpm_cli.generation.generator import Generator, check_label
from ddpm_cli.generation.guidance import guider_node
from ddpm_cli.generation.options import GenerationOptions
from ddpm_cli.images import to_bytes
from ddpm_cli.metrics import Extractor, Moments, extract_features, frechet_distance, moments
from ddpm_cli.samplers import Denoise
from ddpm_cli.shapes import Bytes, Images, Labels, Time
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
        own = compose_present("sample", [f"sampler={name}"])
        OmegaConf.set_struct(own, False)
        own.trust, own.guider = options.trust, cfg.get("guider")
        for steps in options.steps:
            own.sampler.steps = steps
            try:
                check_groups(own, "sampler")
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
        images = torch.cat(list(draw_batches(generator, options.n, options.batch, advance)))
        seconds = time.perf_counter() - since
    features = extract_features(inputs.extractor.extract, images)
    distance = frechet_distance(inputs.reference, moments(features))
    evaluations = sum(sizes) / len(images)
    return SettingResult(setting.name, generator.steps, evaluations, seconds, distance), images


@contextmanager
def count_batches(network: nn.Module) -> Iterator[list[int]]:
    """A list that grows by the size of every batch that goes through a network in the context."""
    sizes: list[int] = []
    hook = network.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    try:
        yield sizes
    finally:
        hook.remove()


def count_calls(guide: Denoise, sizes: list[int]) -> Denoise:
    """A guide that adds the size of every batch to a list."""

    def count_call(x_t: Images, t: Time, *label: Labels | None) -> Estimate:
        sizes.append(len(x_t))
        return guide(x_t, t, *label)

    return count_call


def draw_batches(
    generator: Generator, n: int, batch_size: int, advance: Callable[[int], object]
) -> Iterator[Bytes]:
    """Draw the first n images, and yield them batch by batch; `advance` counts the steps."""
    for first in range(0, n, batch_size):
        states = generator.trajectory(range(first, min(first + batch_size, n)))
        for place, images in enumerate(states):
            advance(place > 0)
        yield to_bytes(images).cpu()
