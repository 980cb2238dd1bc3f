"""Cost and distance of one setting."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from hydra import compose
from omegaconf import OmegaConf
from torch import nn
from tqdm import tqdm

from ddpm_cli.commands.compare.options import Options
from ddpm_cli.commands.compare.tradeoff import SettingResult, setting_title
from ddpm_cli.config.build import bind, group_options
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.generation.trajectory import trajectory
from ddpm_cli.images import to_bytes
from ddpm_cli.metrics import Moments, extract_features, frechet_distance, moments
from ddpm_cli.samplers import Grid
from ddpm_cli.shapes import Bytes, Features, Images

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Setting:
    """A sampler with its options and its times."""

    name: str
    steps: int
    sampler: Callable[..., Iterator[Images]]
    grid: Grid


@dataclass(frozen=True)
class ComparisonInputs:
    """What all settings are measured with: the model, the features, and those of the reference."""

    options: Options
    denoiser: Denoiser
    shape: Sequence[int]
    extract: Callable[[Bytes], Features]
    reference: Moments
    floor: float


def build_settings(options: Options, denoiser: Denoiser, shape: Sequence[int]) -> Iterator[Setting]:
    """Every setting, checked and tried out by one step on one image."""
    for name in options.samplers:
        cfg = compose("sample", [f"sampler={name}"])
        OmegaConf.set_struct(cfg, False)
        cfg.trust = options.trust
        for steps in options.steps:
            cfg.sampler.steps = steps
            try:
                sampler, grid = bind(cfg, "sampler"), group_options(cfg, "sampler")
                list(
                    islice(
                        trajectory(
                            denoiser, sampler, grid, shape=shape, seed=options.seed, indices=[0]
                        ),
                        2,
                    )
                )
            except ValueError as error:
                raise ValueError(f"{name} with steps={steps}: {error}") from error
            yield Setting(name, len(grid.times(denoiser.diffusion)) - 1, sampler, grid)


def measure_settings(
    settings: Sequence[Setting], bench: ComparisonInputs
) -> Iterator[tuple[SettingResult, Bytes]]:
    """What each setting cost and what came of it, said as it is found, with the images for the contact sheet."""
    width, batches = (
        max(map(len, ["sampler", *bench.options.samplers])),
        -(-bench.options.n // bench.options.batch),
    )
    log.info("%s", f"{'sampler':<{width}}  steps  evaluations  seconds  distance")
    with tqdm(
        total=batches * sum(each.steps for each in settings), unit=" steps", dynamic_ncols=True
    ) as bar:
        for setting in settings:
            bar.set_description(setting_title(setting.name, setting.steps))
            found, images = measure_setting(setting, bench, bar)
            numbers = f"{found.steps:>5}  {found.evaluations:>11g}  {found.seconds:>7.1f}  {found.distance:>8.3f}"
            log.info("%s", f"{found.sampler:<{width}}  {numbers}")
            yield found, images[: bench.options.columns]


def measure_setting(
    setting: Setting, bench: ComparisonInputs, bar: "tqdm[Any]"
) -> tuple[SettingResult, Bytes]:
    """Draws with one setting and measures; the seconds are those of drawing alone."""
    with count_batches(bench.denoiser.network) as sizes:
        began = time.perf_counter()
        images = torch.cat(list(draw_setting(setting, bench, bar)))
        seconds = time.perf_counter() - began
    distance = frechet_distance(bench.reference, moments(extract_features(bench.extract, images)))
    return SettingResult(
        setting.name, setting.steps, sum(sizes) / len(images), seconds, distance
    ), images


@contextmanager
def count_batches(network: nn.Module) -> Iterator[list[int]]:
    """Notes the size of every batch that goes through a network meanwhile."""
    sizes: list[int] = []
    hook = network.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    try:
        yield sizes
    finally:
        hook.remove()


def draw_setting(setting: Setting, bench: ComparisonInputs, bar: "tqdm[Any]") -> Iterator[Bytes]:
    """The images of one setting, batch by batch."""
    seed, every = bench.options.seed, range(bench.options.n)
    for first in every[:: bench.options.batch]:
        indices = every[first : first + bench.options.batch]
        states = trajectory(
            bench.denoiser,
            setting.sampler,
            setting.grid,
            shape=bench.shape,
            seed=seed,
            indices=indices,
        )
        for place, images in enumerate(states):
            bar.update(place > 0)
        yield to_bytes(images).cpu()
