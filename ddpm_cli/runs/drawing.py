"""What is drawn: from a checkpoint and the options of `ddpm-sample` to images by index."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from omegaconf import DictConfig

from ddpm_cli import checkpoints
from ddpm_cli.config import at_least, bind, shared
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.parallel import Precision, device_named, sampled
from ddpm_cli.runs.inputs import read, read_mask
from ddpm_cli.runs.parts import restored
from ddpm_cli.samplers import Denoise, Grid, Sampler, aligned, autoguided, clipped, guided, labelled, thresholded, within
from ddpm_cli.sampling import Noises, evaluations, rehearse
from ddpm_cli.shapes import Images, Labels
from ddpm_cli.steering import Inpainting, between, noise_of, started


@dataclass(frozen=True)
class Steering:
    """The options of `ddpm-sample` that say which images are drawn.

    ckpt: the checkpoint. seed: image i is a function of it and i. weights: the average (ema) or the last (raw).
    precision: of the network. label: a class by name or number, or `all`: image i is of class i modulo their number.
    guidance: 1 none, 0 without label; guidance_interval: the noise levels sigma / alpha where it acts; guide: a weaker checkpoint
    whose estimate takes the place of that without label. threshold: of the estimate, at its `quantile` where dynamic.
    start, strength: an image to take up, and the share of the steps. inpaint, mask, resample: an image to keep where the mask is black,
    and how often each step is taken. interpolate: two seeds or images, between which the images lie.
    """

    _: KW_ONLY
    ckpt: str
    seed: int
    weights: Literal["ema", "raw"]
    precision: Precision
    label: str | int | None
    guidance: float
    guidance_interval: list[float] | None
    guide: str | None
    threshold: Literal["static", "dynamic", "none"]
    quantile: float
    start: str | None
    strength: float
    inpaint: str | None
    mask: str | None
    resample: int
    interpolate: list[int | str] | None

    def __post_init__(self) -> None:
        at_least(self, seed=0, resample=1, guidance=0)
        for name in ("strength", "quantile"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be between 0 and 1, but is {getattr(self, name)}")
        if (self.inpaint is None) != (self.mask is None):
            raise ValueError("inpaint=IMAGE and mask=MASK go together: white is painted, black is kept")
        given = [name for name in ("start", "inpaint", "interpolate") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"only one of start, inpaint and interpolate can be given, but there are {' and '.join(given)}")
        if self.guidance != 1 and self.label is None and self.guide is None:
            raise ValueError(f"guidance={self.guidance:g} needs label=CLASS or guide=CKPT")
        if self.guidance == 1 and (self.guide is not None or self.guidance_interval is not None):
            raise ValueError("guide and guidance_interval have no effect at guidance=1; try guidance=2")
        if (ends := self.guidance_interval) is not None and not (len(ends) == 2 and 0 <= ends[0] < ends[1]):
            raise ValueError(f"guidance_interval must be [low, high] with 0 <= low < high, but is {ends}")
        if (both := self.interpolate) is not None and (len(both) != 2 or any(isinstance(end, int) and end < 0 for end in both)):
            raise ValueError(f"interpolate must be two seeds, at least 0, or images, but is {both}")
        if self.interpolate is not None and self.label == "all":
            raise ValueError("interpolate takes one label, but it is all")


@dataclass(frozen=True)
class Drawing:
    """Images by index, and what they are made with."""

    cfg: DictConfig
    options: Steering
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
        fixed = None if self.options.label == "all" else class_named(self.options.label, self.classes)
        labels = [index % len(self.classes) if fixed is None else fixed for index in indices]
        return torch.tensor(labels, device=self.device)

    def names(self, indices: Sequence[int]) -> list[str]:
        """The names of these images' classes, empty where they have none."""
        labels = self.labels(indices)
        return [""] * len(indices) if labels is None else [self.classes[label] for label in labels.tolist()]

    def steered(self, denoise: Denoise, guide: Denoise | None, labels: Labels | None) -> Denoise:
        """A denoiser with label, guidance and threshold."""
        options, scale = self.options, self.options.guidance
        own = denoise if labels is None else labelled(denoise, labels)
        strong = own
        if guide is not None:
            strong = autoguided(own, guide if labels is None else labelled(guide, labels), scale=scale)
        elif scale == 0:
            strong = denoise
        elif scale != 1 and labels is not None:
            strong = guided(denoise, labels, scale=scale)
        if options.guidance_interval is not None:
            strong = within(self.denoiser.diffusion, options.guidance_interval, strong, own)
        return self.threshold(strong)

    @property
    def threshold(self) -> Callable[[Denoise], Denoise]:
        """The wrapper that keeps the estimate in range."""
        dynamic = partial(thresholded, quantile=self.options.quantile)
        choices: dict[str, Callable[[Denoise], Denoise]] = {"static": clipped, "dynamic": dynamic, "none": lambda denoise: denoise}
        return choices[self.options.threshold]

    def of(self, indices: Sequence[int], seen: Callable[[Denoise], Denoise] = lambda denoise: denoise) -> Iterator[Images]:
        """These images, [B, C, H, W] in [-1, 1], as they begin and after every step; `seen` may look at the estimates."""
        noises, diffusion = self.noises(indices), self.denoiser.diffusion
        x, times = self.begin(noises.start)
        yield x
        yield from self.sampler(seen(self.steered(self.denoiser, self.guide, self.labels(indices))), diffusion, x, times, noises.steps)

    def begin(self, noise: Images) -> tuple[Images, Sequence[float]]:
        """Where these images begin, and the times of their steps."""
        if self.image is None:
            return noise, self.times
        return started(self.denoiser.diffusion, self.times, self.image, noise, self.options.strength)

    @property
    def evaluations(self) -> int:
        """Evaluations of a network for one image."""
        x, times = self.begin(torch.zeros(1, *self.shape, device=self.device))
        labels = self.labels([0])
        return evaluations(lambda blank: self.steered(blank, self.guide and blank, labels), self.denoiser.diffusion, self.sampler, times, x)

    @property
    def steps(self) -> int:
        """Steps of the sampler for one image."""
        return len(self.begin(torch.zeros(1, *self.shape, device=self.device))[1]) - 1


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


def check_label(label: str | int | None, denoiser: Denoiser, classes: list[str]) -> None:
    """Refuses a label that this model does not know."""
    if label is None:
        return
    if not denoiser.conditional:
        needed = "a class-conditional checkpoint (trained with model.conditional=true)"
        raise ValueError(f"label={label} needs {needed}; this one is unconditional")
    if label != "all":
        class_named(label, classes)


def class_named(label: str | int, classes: list[str]) -> int:
    """The number of a class by its name, or by its number where no class is called that."""
    names = {name: number for number, name in enumerate(classes)}
    text = str(label)
    if text in names:
        return names[text]
    if text.isdecimal() and int(text) < len(classes):
        return int(text)
    known = ", ".join(classes[:20]) + ", ..." * (len(classes) > 20)
    raise ValueError(f"label must be all, or one of the {len(classes)} classes ({known}) or its number, but is {label!r}")


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
