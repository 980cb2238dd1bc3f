"""A generator from a checkpoint and options, interpolation and guide included."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import islice
from typing import Any, TypeAlias

import torch
from omegaconf import DictConfig
from tqdm import tqdm

from ddpm_cli.checkpoints import WEIGHTS, Checkpoint, checkpoint_path
from ddpm_cli.components import load_denoiser
from ddpm_cli.console import fact, printable
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.generation.editing import Inpainting, interpolate_noise, inversion_steps, invert_image
from ddpm_cli.generation.generator import FIRST, LAST, Generator, Noises
from ddpm_cli.generation.inputs import read_image, read_mask, trained_range
from ddpm_cli.generation.labels import WITHOUT_CLASS, tell_label
from ddpm_cli.generation.options import GenerationOptions
from ddpm_cli.hardware import compile_for_sampling, prepare_for_sampling
from ddpm_cli.hardware.graphs import ReplayedNetwork, replay_on_cuda
from ddpm_cli.samplers import Denoise, at_levels_of, clip_x0, final_state, with_label
from ddpm_cli.shapes import Images

Read: TypeAlias = Callable[[str], Images]  # reads the image of a file
BAR: dict[str, Any] = {"unit": " steps", "dynamic_ncols": True, "leave": False}


def build_generator(
    cfg: DictConfig,
    options: GenerationOptions,
    checkpoint: Checkpoint,
    *,
    n: int,
    device: str,
    trust: list[str],
    verbose: bool = True,
) -> Generator:
    """Build the generator of a checkpoint by the options, and try it on one image.

    n: the images that an interpolation has. verbose: whether to show the progress of inversions.
    """
    denoiser = load_denoiser(checkpoint, weights=options.weights, device=device, trust=trust)
    network = prepare_for_sampling(denoiser.network, options.precision)
    denoiser = replace(denoiser, network=network)
    return build_generator_of(
        denoiser, cfg, options, checkpoint, n=n, device=device, trust=trust, verbose=verbose
    )


def build_generator_of(
    denoiser: Denoiser,
    cfg: DictConfig,
    options: GenerationOptions,
    checkpoint: Checkpoint,
    *,
    n: int,
    device: str,
    trust: list[str],
    verbose: bool,
) -> Generator:
    """Build the generator of a denoiser, loaded from the checkpoint and prepared for sampling."""
    shape = checkpoint.shape
    read = partial(read_image, shape=shape, values=trained_range(checkpoint.config))
    denoiser = replace(denoiser, network=replay_on_cuda(denoiser.network))
    classes = checkpoint.classes
    options = options.of_model(denoiser.conditional)
    guide = load_guide(options, denoiser, shape, classes, device, trust)
    generator = Generator.from_config(cfg, denoiser, options, shape, classes, guide)
    if denoiser.conditional and options.label is None:
        fact("label", WITHOUT_CLASS)
    tell_label(options.label, classes)
    if options.inpaint is not None and options.mask is not None:
        image = read(options.inpaint).to(denoiser.device)
        mask = read_mask(options.mask, options.inpaint, shape).to(denoiser.device)
        sampler = Inpainting(generator.sampler, image, mask, options.resample)
        inputs = {"image": image, "mask": 2 * mask.float() - 1}
        generator = replace(generator, sampler=sampler, inputs=inputs)
    if options.start is not None:
        image = read(options.start).to(denoiser.device)
        generator = replace(generator, image=image, inputs={"start": image})
    if options.interpolate is not None:
        interpolation = interpolation_noise(generator, options.interpolate, n, read, verbose)
        ends = zip((FIRST, LAST), options.interpolate, strict=True)
        inputs = {name: read(end) for name, end in ends if isinstance(end, str)}
        generator = replace(generator, interpolation=interpolation, inputs=inputs)
    check_generator(generator)
    return generator


def with_compiled_network(generator: Generator) -> Generator:
    """The generator with its network compiled. A trial after it would compile each batch size."""
    denoiser, network = generator.denoiser, generator.denoiser.network
    if isinstance(network, ReplayedNetwork):
        network = network.module
    network = replay_on_cuda(compile_for_sampling(network))
    return replace(generator, denoiser=replace(denoiser, network=network))


def check_generator(generator: Generator) -> None:
    """Take a step of one image, so that what cannot draw fails before anything is drawn."""
    ends, shape = generator.options.interpolate or (), generator.shape
    silent = Noises(torch.zeros(1, *shape, device=generator.denoiser.device), refuse_noise)
    noises = (lambda _: silent) if any(isinstance(end, str) for end in ends) else None
    times = [generator.denoiser.diffusion.steps, 1]
    one_step = replace(generator, times=times, image=None, interpolation=noises)
    try:
        list(islice(one_step.trajectory([0]), 2))
    except (TypeError, AttributeError, LookupError) as error:
        raise ValueError(f"the model of this checkpoint draws no images: {error}") from error


def load_guide(
    options: GenerationOptions,
    model: Denoiser,
    shape: Sequence[int],
    classes: Sequence[str],
    device: str,
    trust: list[str],
) -> Denoise | None:
    """The weaker model of autoguidance, at the noise levels of the model; None without `guide`.

    Raises ValueError if the guide has another image shape or other classes.
    """
    if options.guide is None:
        return None
    checkpoint = Checkpoint.load(checkpoint_path(options.guide), [WEIGHTS[options.weights]])
    denoiser = load_denoiser(checkpoint, weights=options.weights, device=device, trust=trust)
    network = prepare_for_sampling(denoiser.network, options.precision)
    denoiser = replace(denoiser, network=replay_on_cuda(network))
    if checkpoint.shape != list(shape):
        raise ValueError(f"guide must draw images of {list(shape)}, but draws {checkpoint.shape}")
    labelled = denoiser.conditional and options.label is not None
    if labelled and checkpoint.classes != list(classes):
        raise ValueError("guide must know the same classes in the same order, or none")
    guide = at_levels_of(denoiser, denoiser.diffusion, model.diffusion)
    return guide if denoiser.conditional else lambda x_t, t, label=None: guide(x_t, t)


def interpolation_noise(
    generator: Generator, ends: Sequence[int | str], n: int, read: Read, verbose: bool
) -> Callable[[Sequence[int]], Noises]:
    """The noise of images between two ends: image 0 has the first end's, image n - 1 the other's.

    An end is a seed (the noise of its image 0) or an image (the noise that DDIM's inverse finds).
    """
    if n < 2:
        raise ValueError(f"interpolate needs n of at least 2, but it is {n}")
    first, last = (interpolation_end(generator, end, read, verbose) for end in ends)
    device = generator.denoiser.device

    def noises(indices: Sequence[int]) -> Noises:
        fractions = torch.tensor([index / (n - 1) for index in indices], device=device)
        return interpolate_noise(first(len(indices)), last(len(indices)), fractions)

    return noises


def interpolation_end(
    generator: Generator, end: int | str, read: Read, verbose: bool
) -> Callable[[int], Noises]:
    """The noise of an end for a batch of any size; an image is inverted at the first batch."""
    shape, denoiser = generator.shape, generator.denoiser
    if isinstance(end, int):
        return lambda count: Noises.keyed(shape, end, [0] * count, denoiser.device)
    image, labels = read(end).to(denoiser.device), generator.labels([0])
    denoise = clip_x0(denoiser if labels is None else with_label(denoiser, labels))

    @cache
    def noise() -> Images:
        diffusion, title = denoiser.diffusion, printable(f"noise of {end}")
        states = invert_image(denoise, diffusion, image)
        steps = inversion_steps(diffusion)
        return final_state(iter(tqdm(states, title, steps, disable=not verbose, **BAR)))

    return lambda count: Noises(noise().expand(count, *shape), refuse_noise)


def refuse_noise(like: Images) -> Images:
    """Refuse to add noise in a sampler's step, because the inverse of DDIM finds none."""
    raise ValueError(
        "interpolate between images needs a sampler without noise: "
        "ddim, dpmpp_2m, unipc or heun as they are"
    )
