"""A generator from a checkpoint and options, interpolation and guide included."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from ddpm_cli import checkpoints
from ddpm_cli.config.build import bind, group_options
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.generation.editing import Inpainting, interpolate_noise, invert_image
from ddpm_cli.generation.generator import Generator
from ddpm_cli.generation.inputs import read_image, read_mask
from ddpm_cli.generation.labels import check_label
from ddpm_cli.generation.options import GenerationOptions
from ddpm_cli.generation.trajectory import Noises, try_one_step
from ddpm_cli.models import load_denoiser
from ddpm_cli.parallel import find_device, prepare_for_sampling
from ddpm_cli.samplers import Denoise, Grid, Sampler, at_levels_of, clip_x0, with_label
from ddpm_cli.shapes import Images


def build_generator(
    cfg: DictConfig,
    options: GenerationOptions,
    content: dict[str, Any],
    *,
    device: str,
    compiled: bool,
    trust: list[str],
    n: int,
) -> Generator:
    """Builds what a loaded checkpoint and the options say, and tries it on a grey image."""
    facts, place = content["facts"], find_device(device)
    denoiser = load_denoiser(content, weights=options.weights, device=device, trust=trust)
    denoiser = replace(
        denoiser,
        network=prepare_for_sampling(denoiser.network, options.precision, compiled=compiled),
    )
    grid: Grid = group_options(cfg, "sampler")
    sampler: Sampler = bind(cfg, "sampler")
    image, shape = None, facts["shape"]
    if options.inpaint is not None and options.mask is not None:
        sampler = Inpainting(
            sampler,
            read_image(options.inpaint, shape).to(place),
            read_mask(options.mask, shape).to(place),
            options.resample,
        )
    if options.start is not None:
        image = read_image(options.start, shape).to(place)
    check_label(options.label, denoiser, facts["classes"])
    guide = None if options.guide is None else build_guide(options, denoiser, facts, device, trust)
    times = grid.times(denoiser.diffusion)

    def keyed(indices: Sequence[int]) -> Noises:
        return Noises.keyed(shape, options.seed, indices, place)

    made = Generator(
        cfg, options, denoiser, guide, facts["classes"], sampler, times, shape, place, keyed, image
    )
    if options.interpolate is not None:
        made = replace(made, noises=interpolation_noise(made, options.interpolate, n))
    try_one_step(
        made.steered(denoiser, guide, made.labels([0])),
        denoiser.diffusion,
        sampler,
        made.noises([0]),
    )
    return made


def build_guide(
    options: GenerationOptions,
    denoiser: Denoiser,
    facts: dict[str, Any],
    device: str,
    trust: list[str],
) -> Denoise:
    """The weaker model of autoguidance, asked at the same noise levels; ValueError where it is of other images or classes."""
    content = checkpoints.load(Path(str(options.guide)).expanduser())
    other = load_denoiser(content, weights=options.weights, device=device, trust=trust)
    other = replace(
        other, network=prepare_for_sampling(other.network, options.precision, compiled=False)
    )
    if content["facts"]["shape"] != facts["shape"]:
        raise ValueError(
            f"guide must draw images of {facts['shape']}, but draws {content['facts']['shape']}"
        )
    if (
        other.conditional
        and options.label is not None
        and content["facts"]["classes"] != facts["classes"]
    ):
        raise ValueError("guide must know the same classes in the same order, or none")
    same = at_levels_of(other, other.diffusion, denoiser.diffusion)
    return same if other.conditional else lambda x_t, t, label=None: same(x_t, t)


def interpolation_noise(
    made: Generator, ends: Sequence[int | str], n: int
) -> Callable[[Sequence[int]], Noises]:
    """The noise of images between two ends, of which the first is image 0 and the last image n - 1.

    An end is the seed of an image, of which it is the first, or an image, of which the noise is found by the inverse of DDIM.
    """
    if n < 2:
        raise ValueError(f"interpolate needs n of at least 2, but it is {n}")
    both = [interpolation_end(made, end) for end in ends]

    def noises(indices: Sequence[int]) -> Noises:
        places = torch.tensor([index / (n - 1) for index in indices], device=made.device)
        one, other = (end(len(indices)) for end in both)
        return interpolate_noise(one, other, places)

    return noises


def interpolation_end(made: Generator, end: int | str) -> Callable[[int], Noises]:
    """The noise of one end, as often as it is asked for."""
    if isinstance(end, int):
        return lambda count: Noises.keyed(made.shape, end, [0] * count, made.device)
    image = read_image(end, made.shape).to(made.device)
    labels = made.labels([0])
    found = invert_image(
        clip_x0(made.denoiser if labels is None else with_label(made.denoiser, labels)),
        made.denoiser.diffusion,
        image,
    )

    def refused(like: Images) -> Images:
        raise ValueError(
            "interpolate between images needs a sampler without noise: ddim, dpmpp_2m, unipc or heun as they are"
        )

    return lambda count: Noises(found.expand(count, *made.shape), refused)
