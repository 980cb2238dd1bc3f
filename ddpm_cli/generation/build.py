"""A generator from a checkpoint and options, interpolation and guide included."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from ddpm_cli import checkpoints
from ddpm_cli.config.build import bind, shared
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.generation.editing import Inpainting, between, noise_of
from ddpm_cli.generation.generator import Drawing
from ddpm_cli.generation.inputs import read, read_mask
from ddpm_cli.generation.labels import check_label
from ddpm_cli.generation.options import Steering
from ddpm_cli.generation.trajectory import Noises, rehearse
from ddpm_cli.models import restored
from ddpm_cli.parallel import device_named, sampled
from ddpm_cli.samplers import Denoise, Grid, Sampler, aligned, clipped, labelled
from ddpm_cli.shapes import Images


def drawing(
    cfg: DictConfig, options: Steering, content: dict[str, Any], *, device: str, compiled: bool, trust: list[str], n: int
) -> Drawing:
    """Builds what a loaded checkpoint and the options say, and tries it on a grey image."""
    facts, place = content["facts"], device_named(device)
    denoiser = restored(content, weights=options.weights, device=device, trust=trust)
    denoiser = replace(denoiser, network=sampled(denoiser.network, options.precision, compiled=compiled))
    grid: Grid = shared(cfg, "sampler")
    sampler: Sampler = bind(cfg, "sampler")
    image, shape = None, facts["shape"]
    if options.inpaint is not None and options.mask is not None:
        sampler = Inpainting(sampler, read(options.inpaint, shape).to(place), read_mask(options.mask, shape).to(place), options.resample)
    if options.start is not None:
        image = read(options.start, shape).to(place)
    check_label(options.label, denoiser, facts["classes"])
    guide = None if options.guide is None else guide_of(options, denoiser, facts, device, trust)
    times = grid.times(denoiser.diffusion)

    def keyed(indices: Sequence[int]) -> Noises:
        return Noises.keyed(shape, options.seed, indices, place)

    made = Drawing(cfg, options, denoiser, guide, facts["classes"], sampler, times, shape, place, keyed, image)
    if options.interpolate is not None:
        made = replace(made, noises=interpolated(made, options.interpolate, n))
    rehearse(made.steered(denoiser, guide, made.labels([0])), denoiser.diffusion, sampler, made.noises([0]))
    return made


def guide_of(options: Steering, denoiser: Denoiser, facts: dict[str, Any], device: str, trust: list[str]) -> Denoise:
    """The weaker model of autoguidance, asked at the same noise levels; ValueError where it is of other images or classes."""
    content = checkpoints.load(Path(str(options.guide)).expanduser())
    other = restored(content, weights=options.weights, device=device, trust=trust)
    other = replace(other, network=sampled(other.network, options.precision, compiled=False))
    if content["facts"]["shape"] != facts["shape"]:
        raise ValueError(f"guide must draw images of {facts['shape']}, but draws {content['facts']['shape']}")
    if other.conditional and options.label is not None and content["facts"]["classes"] != facts["classes"]:
        raise ValueError("guide must know the same classes in the same order, or none")
    same = aligned(other, other.diffusion, denoiser.diffusion)
    return same if other.conditional else lambda x_t, t, label=None: same(x_t, t)


def interpolated(made: Drawing, ends: Sequence[int | str], n: int) -> Callable[[Sequence[int]], Noises]:
    """The noise of images between two ends, of which the first is image 0 and the last image n - 1.

    An end is the seed of an image, of which it is the first, or an image, of which the noise is found by the inverse of DDIM.
    """
    if n < 2:
        raise ValueError(f"interpolate needs n of at least 2, but it is {n}")
    both = [end_of(made, end) for end in ends]

    def noises(indices: Sequence[int]) -> Noises:
        places = torch.tensor([index / (n - 1) for index in indices], device=made.device)
        one, other = (end(len(indices)) for end in both)
        return between(one, other, places)

    return noises


def end_of(made: Drawing, end: int | str) -> Callable[[int], Noises]:
    """The noise of one end, as often as it is asked for."""
    if isinstance(end, int):
        return lambda count: Noises.keyed(made.shape, end, [0] * count, made.device)
    image = read(end, made.shape).to(made.device)
    labels = made.labels([0])
    found = noise_of(clipped(made.denoiser if labels is None else labelled(made.denoiser, labels)), made.denoiser.diffusion, image)

    def refused(like: Images) -> Images:
        raise ValueError("interpolate between images needs a sampler without noise: ddim, dpmpp_2m, unipc or heun as they are")

    return lambda count: Noises(found.expand(count, *made.shape), refused)
