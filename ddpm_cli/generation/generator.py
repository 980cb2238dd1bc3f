"""Images by index, with all that they are drawn by."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from omegaconf import DictConfig

from ddpm_cli.denoiser import Denoiser
from ddpm_cli.generation.editing import start_from_image
from ddpm_cli.generation.labels import class_number
from ddpm_cli.generation.options import GenerationOptions
from ddpm_cli.generation.trajectory import Noises, count_evaluations
from ddpm_cli.samplers import (
    Denoise,
    Sampler,
    clip_x0,
    threshold_x0,
    with_autoguidance,
    with_guidance,
    with_label,
    within_interval,
)
from ddpm_cli.shapes import Images, Labels


@dataclass(frozen=True)
class Generator:
    """Images by index, and what they are made with."""

    cfg: DictConfig
    options: GenerationOptions
    denoiser: Denoiser
    guide: Denoise | None
    classes: list[str]
    sampler: Sampler
    times: list[float]
    shape: list[int]
    device: torch.device
    noises: Callable[[Sequence[int]], Noises]
    image: Images | None

    def labels(self, indices: Sequence[int]) -> Labels | None:
        """The labels of these images."""
        if self.options.label is None:
            return None
        fixed = (
            None if self.options.label == "all" else class_number(self.options.label, self.classes)
        )
        labels = [index % len(self.classes) if fixed is None else fixed for index in indices]
        return torch.tensor(labels, device=self.device)

    def names(self, indices: Sequence[int]) -> list[str]:
        """The names of these images' classes, empty where they have none."""
        labels = self.labels(indices)
        return (
            [""] * len(indices)
            if labels is None
            else [self.classes[label] for label in labels.tolist()]
        )

    def steered(self, denoise: Denoise, guide: Denoise | None, labels: Labels | None) -> Denoise:
        """A denoiser with label, guidance and threshold."""
        options, scale = self.options, self.options.guidance
        own = denoise if labels is None else with_label(denoise, labels)
        strong = own
        if guide is not None:
            strong = with_autoguidance(
                own, guide if labels is None else with_label(guide, labels), scale=scale
            )
        elif scale == 0:
            strong = denoise
        elif scale != 1 and labels is not None:
            strong = with_guidance(denoise, labels, scale=scale)
        if options.guidance_interval is not None:
            strong = within_interval(
                self.denoiser.diffusion, options.guidance_interval, strong, own
            )
        return self.threshold(strong)

    @property
    def threshold(self) -> Callable[[Denoise], Denoise]:
        """The wrapper that keeps the estimate in range."""
        dynamic = partial(threshold_x0, quantile=self.options.quantile)
        choices: dict[str, Callable[[Denoise], Denoise]] = {
            "static": clip_x0,
            "dynamic": dynamic,
            "none": lambda denoise: denoise,
        }
        return choices[self.options.threshold]

    def of(
        self, indices: Sequence[int], seen: Callable[[Denoise], Denoise] = lambda denoise: denoise
    ) -> Iterator[Images]:
        """These images, [B, C, H, W] in [-1, 1], as they begin and after every step; `seen` may look at the estimates."""
        noises, diffusion = self.noises(indices), self.denoiser.diffusion
        x, times = self.begin(noises.start)
        yield x
        yield from self.sampler(
            seen(self.steered(self.denoiser, self.guide, self.labels(indices))),
            diffusion,
            x,
            times,
            noises.steps,
        )

    def begin(self, noise: Images) -> tuple[Images, Sequence[float]]:
        """Where these images begin, and the times of their steps."""
        if self.image is None:
            return noise, self.times
        return start_from_image(
            self.denoiser.diffusion, self.times, self.image, noise, self.options.strength
        )

    @property
    def evaluations(self) -> int:
        """Evaluations of a network for one image."""
        x, times = self.begin(torch.zeros(1, *self.shape, device=self.device))
        labels = self.labels([0])
        return count_evaluations(
            lambda blank: self.steered(blank, self.guide and blank, labels),
            self.denoiser.diffusion,
            self.sampler,
            times,
            x,
        )

    @property
    def steps(self) -> int:
        """Steps of the sampler for one image."""
        return len(self.begin(torch.zeros(1, *self.shape, device=self.device))[1]) - 1
