"""A generator from a checkpoint and options, interpolation and guide included."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice

import torch
from omegaconf import DictConfig

from ddpm_cli.checkpoints import WEIGHTS, Checkpoint
from ddpm_cli.components import load_denoiser
from ddpm_cli.files import user_path
from ddpm_cli.generation.editing import Inpainting, interpolate_noise, invert_image
from ddpm_cli.generation.generator import Generator, Noises
from ddpm_cli.generation.inputs import read_image, read_mask
from ddpm_cli.generation.labels import tell_label
from ddpm_cli.generation.options import GenerationOptions
from ddpm_cli.hardware import prepare_for_sampling
from ddpm_cli.samplers import Denoise, at_levels_of, clip_x0, with_label
from ddpm_cli.shapes import Images


def build_generator(
    cfg: DictConfig,
    options: GenerationOptions,
    checkpoint: Checkpoint,
    *,
    n: int,
    device: str,
    trust: list[str],
    compiled: bool = False,
) -> Generator:
    """Build the generator of a checkpoint by the options, and try it on one image."""
    shape = checkpoint.shape
    denoiser = load_denoiser(checkpoint, weights=options.weights, device=device, trust=trust)
    network = prepare_for_sampling(denoiser.network, options.precision, compiled=compiled)
    denoiser = replace(denoiser, network=network)
    if options.label is not None and not denoiser.conditional:
        needed = "a class-conditional checkpoint (trained with model.conditional=true)"
        raise ValueError(f"label={options.label} needs {needed}; this one is unconditional")
    generator = Generator.from_config(cfg, denoiser, options, shape, checkpoint.classes)
    tell_label(options.label, checkpoint.classes)
    if options.inpaint is not None and options.mask is not None:
        image = read_image(options.inpaint, shape).to(denoiser.device)
        mask = read_mask(options.mask, shape).to(denoiser.device)
        sampler = Inpainting(generator.sampler, image, mask, options.resample)
        generator = replace(generator, sampler=sampler)
    if options.start is not None:
        image = read_image(options.start, shape).to(denoiser.device)
        generator = replace(generator, image=image)
    if options.guide is not None:
        guide = build_guide(generator, options.guide, device, trust)
        generator = replace(generator, guide=guide)
    if options.interpolate is not None:
        interpolation = interpolation_noise(generator, options.interpolate, n)
        generator = replace(generator, interpolation=interpolation)
    one_step = replace(generator, times=[denoiser.diffusion.steps, 1], image=None)
    try:
        list(islice(one_step.trajectory([0]), 2))  # fails before anything is drawn
    except (TypeError, AttributeError, LookupError) as error:
        raise ValueError(f"the model of this checkpoint draws no images: {error}") from error
    return generator


def build_guide(generator: Generator, ckpt: str, device: str, trust: list[str]) -> Denoise:
    """The weaker model of autoguidance, at the noise levels of the generator's own model.

    Raises ValueError if the guide has another image shape or other classes.
    """
    options = generator.options
    checkpoint = Checkpoint.load(user_path(ckpt), [WEIGHTS[options.weights]])
    denoiser = load_denoiser(checkpoint, weights=options.weights, device=device, trust=trust)
    network = prepare_for_sampling(denoiser.network, options.precision, compiled=False)
    denoiser, shape = replace(denoiser, network=network), checkpoint.shape
    if shape != generator.shape:
        raise ValueError(f"guide must draw images of {generator.shape}, but draws {shape}")
    labelled = denoiser.conditional and options.label is not None
    if labelled and checkpoint.classes != generator.classes:
        raise ValueError("guide must know the same classes in the same order, or none")
    guide = at_levels_of(denoiser, denoiser.diffusion, generator.denoiser.diffusion)
    return guide if denoiser.conditional else lambda x_t, t, label=None: guide(x_t, t)


def interpolation_noise(
    generator: Generator, ends: Sequence[int | str], n: int
) -> Callable[[Sequence[int]], Noises]:
    """The noise of images between two ends: image 0 has the first end's, image n - 1 the other's.

    An end is a seed (the noise of its image 0) or an image (the noise that DDIM's inverse finds).
    """
    if n < 2:
        raise ValueError(f"interpolate needs n of at least 2, but it is {n}")
    first, last = (interpolation_end(generator, end) for end in ends)
    device = generator.denoiser.device

    def noises(indices: Sequence[int]) -> Noises:
        fractions = torch.tensor([index / (n - 1) for index in indices], device=device)
        return interpolate_noise(first(len(indices)), last(len(indices)), fractions)

    return noises


def interpolation_end(generator: Generator, end: int | str) -> Callable[[int], Noises]:
    """The noise of an end for a batch of any size."""
    shape, denoiser = generator.shape, generator.denoiser
    if isinstance(end, int):
        return lambda count: Noises.keyed(shape, end, [0] * count, denoiser.device)
    image, labels = read_image(end, shape).to(denoiser.device), generator.labels([0])
    denoise = clip_x0(denoiser if labels is None else with_label(denoiser, labels))
    noise = invert_image(denoise, denoiser.diffusion, image)

    def refuse_noise(like: Images) -> Images:
        raise ValueError(
            "interpolate between images needs a sampler without noise: "
            "ddim, dpmpp_2m, unipc or heun as they are"
        )

    return lambda count: Noises(noise.expand(count, *shape), refuse_noise)
