"""Images by index: an image and its noise are functions of the index, not of the batch."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from ddpm_cli.config.build import bind, bind_options
from ddpm_cli.denoiser import NEEDS_LABEL, Denoiser, Estimate
from ddpm_cli.diffusion import GaussianDiffusion
from ddpm_cli.generation.guidance import build_guider, guider_node, guider_text
from ddpm_cli.generation.labels import class_number
from ddpm_cli.generation.options import ALL, GenerationOptions
from ddpm_cli.guiders import Guider, beside_guide, with_and_without_label
from ddpm_cli.samplers import Denoise, Grid, Noise, Sampler, clip_x0, threshold_x0, with_label
from ddpm_cli.seeds import Purpose, keyed_normal
from ddpm_cli.shapes import Images, Labels, Single, Time

FIRST, LAST = "first", "last"  # captions of the images between which the others lie


@dataclass(frozen=True)
class Noises:
    """The random numbers of a batch: x_T, and the noise of the sampler's steps."""

    start: Images
    steps: Noise

    @classmethod
    def keyed(
        cls, shape: Sequence[int], seed: int, indices: Sequence[int], device: torch.device
    ) -> "Noises":
        """The noise of the images at `indices`, equal on every device; x_T is [B, C, H, W].

        The noise of a step is keyed by the number of draws before it.
        """
        like, draws = torch.empty(len(indices), *shape, device=device), count()
        images = torch.tensor(indices, dtype=torch.int64, device=device)
        return cls(
            keyed_normal(like, seed, Purpose.SAMPLE_START, 0, images),
            lambda like: keyed_normal(like, seed, Purpose.SAMPLE_STEPS, next(draws), images),
        )


@dataclass(frozen=True)
class Generator:
    """A generator of images by index, with its model, sampler and options.

    shape: the shape [C, H, W] of an image. sampler_node: the sampler's node in the configuration.
    guide: a weaker model, instead of the model without label. guider: the guider, if guidance is
    not 1, and guider_node: its node. image: an image [1, C, H, W] to start from. interpolation: the
    noise of images between two ends, instead of the noise by index. inputs: the images and masks
    [1, C, H, W] in [-1, 1] that steer, by their captions.
    """

    denoiser: Denoiser
    options: GenerationOptions
    sampler: Sampler
    times: Sequence[float]
    shape: Sequence[int]
    classes: Sequence[str] = ()
    sampler_node: Mapping[str, Any] = field(default_factory=dict)
    guide: Denoise | None = None
    guider: Guider | None = None
    guider_node: Mapping[str, Any] | None = None
    image: Images | None = None
    interpolation: Callable[[Sequence[int]], Noises] | None = None
    inputs: Mapping[str, Images] = field(default_factory=dict)

    @classmethod
    def from_config(
        cls,
        cfg: DictConfig,
        denoiser: Denoiser,
        options: GenerationOptions,
        shape: Sequence[int],
        classes: Sequence[str],
        guide: Denoise | None = None,
    ) -> "Generator":
        """A generator with the sampler and the times of the node `sampler`, and the node `guider`.

        Every image of every command is drawn by what this returns. cfg: with `trust`, if any, the
        user's own modules. Raises ValueError for options that the model or one another refuse.
        """
        options = options.of_model(denoiser.conditional)
        check_label(options.label, denoiser, classes)
        check_guidance(options, denoiser)
        sampler, grid = bind(cfg, "sampler"), bind_options(Grid, cfg.sampler)()
        node: Any = OmegaConf.to_container(cfg.sampler, resolve=True)
        times, guidance = grid.times(denoiser.diffusion), guider_node(cfg, options)
        guider = build_guider(guidance, options, list(cfg.get("trust") or ()))
        own = sampler, times, shape, classes, node, guide, guider, guidance
        return cls(denoiser, options, *own)

    def trajectory(
        self,
        indices: Sequence[int],
        labels: Labels | None = None,
        seen: Callable[[Denoise], Denoise] = lambda denoise: denoise,
    ) -> Iterator[Images]:
        """Yield these images [B, C, H, W] in [-1, 1], at the start and after every step.

        labels: labels that replace the options' labels. seen: a wrapper that may record estimates.
        """
        diffusion, times = self.denoiser.diffusion, self.times
        noises = (
            Noises.keyed(self.shape, self.options.seed, indices, self.denoiser.device)
            if self.interpolation is None
            else self.interpolation(indices)
        )
        x, labels = noises.start, self.labels(indices) if labels is None else labels
        if self.image is not None:
            x, times = start_from_image(diffusion, times, self.image, x, self.options.strength)
        denoise = self.guided(
            self.denoiser, self.guide, None if labels is None else labels.to(x.device)
        )
        yield x
        yield from self.sampler(seen(denoise), diffusion, x, times, noises.steps)

    def labels(self, indices: Sequence[int]) -> Labels | None:
        """The labels that the options give to these images."""
        label = self.options.label
        if label is None:
            return None
        if label == ALL:
            numbers = [index % len(self.classes) for index in indices]
        else:
            numbers = [class_number(label, self.classes)] * len(indices)
        return torch.tensor(numbers, device=self.denoiser.device)

    def guided(self, denoise: Denoise, guide: Denoise | None, labels: Labels | None) -> Denoise:
        """A denoiser with label, guidance and threshold."""
        options = self.options
        strong = denoise if labels is None else with_label(denoise, labels)
        if self.guider is not None:
            if guide is not None:
                weak = guide if labels is None else with_label(guide, labels)
                models = beside_guide(strong, weak)
            else:
                assert labels is not None, "the options refuse guidance without label or guide"
                models = with_and_without_label(denoise, labels)
            strong = self.guider(models, options.guidance, self.denoiser.diffusion)
        if options.threshold == "dynamic":
            return threshold_x0(strong, quantile=options.quantile)
        return clip_x0(strong) if options.threshold == "static" else strong

    @property
    def guider_text(self) -> str:
        """The guider in words, unless the other options imply it."""
        return guider_text(self.guider_node, vars(self.options))

    @property
    def summary(self) -> str:
        """The label and the guidance in words."""
        by = f" by {self.guider_text}" * bool(self.guider_text)
        return self.options.summary + by

    @property
    def steps(self) -> int:
        """The steps of the sampler for one image."""
        steps = len(self.times) - 1
        return steps if self.image is None else steps_from_image(self.options.strength, steps)

    @cached_property
    def nfe(self) -> int:
        """The network evaluations for one image."""
        labels = self.labels([0])
        return count_nfe(
            lambda blank: self.guided(blank, self.guide and blank, labels),
            self.denoiser.diffusion,
            self.sampler,
            self.times[-1 - self.steps :],
            torch.zeros(1, *self.shape, device=self.denoiser.device),
        )


def count_nfe(
    wrap: Callable[[Denoise], Denoise],
    diffusion: GaussianDiffusion,
    sampler: Sampler,
    times: Sequence[float],
    x: Images,
) -> int:
    """Count the network evaluations (NFE) for one image, by a denoiser that returns zeros."""
    sizes = []

    def blank(x_t: Images, t: Time, label: Labels | None = None) -> Estimate:
        sizes.append(len(x_t))
        return Estimate(x_t, torch.zeros_like(x_t), 0.0)

    deque(sampler(wrap(blank), diffusion, x, times, torch.zeros_like), maxlen=0)
    return sum(sizes)


def check_label(label: str | int | None, denoiser: Denoiser, classes: Sequence[str]) -> None:
    """Refuse a label that the model does not know."""
    if label is not None and not denoiser.conditional:
        needed = "a class-conditional checkpoint (trained with model.conditional=true)"
        raise ValueError(f"label={label} needs {needed}; this one is unconditional")
    if label not in (None, "all"):
        class_number(label, classes)


def check_guidance(options: GenerationOptions, denoiser: Denoiser) -> None:
    """Refuse to draw without a label, as half of guidance does, where each image needs a label."""
    if not denoiser.conditional or not denoiser.needs_label:
        return
    if options.label is None:
        raise ValueError(f"label must be all or a class: {NEEDS_LABEL}")
    if options.guidance != 1 and options.guide is None:
        raise ValueError(f"guidance must be 1, but is {options.guidance:g}: {NEEDS_LABEL}")


def start_from_image(
    diffusion: GaussianDiffusion,
    times: Sequence[float],
    image: Single,
    noise: Images,
    strength: float,
) -> tuple[Images, Sequence[float]]:
    """x_t of a start image [1, C, H, W], and the times from t down (Meng et al. 2022).

    strength: the share of the steps to take; 0 returns the image, 1 starts from noise alone.
    """
    x, steps = image.expand_as(noise), len(times) - 1
    skipped = steps - steps_from_image(strength, steps)
    if skipped == 0:
        return noise, times
    x = x if skipped == steps else diffusion.add_noise(x, noise, times[skipped])
    return x, times[skipped:]


def steps_from_image(strength: float, steps: int) -> int:
    """The steps of a sampler from a start image; only strength 1 takes all steps."""
    return steps if strength == 1 else min(round(strength * steps), steps - 1)
