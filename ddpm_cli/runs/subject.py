"""What `ddpm-eval` is asked for and what it looks at: a model, and the parts of its data."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from omegaconf import DictConfig, OmegaConf

from ddpm_cli import checkpoints
from ddpm_cli.config import at_least, bind, build, shared
from ddpm_cli.data import ImageSet, Preparation, prepared
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.likelihood import even_levels
from ddpm_cli.parallel import Precision, Ranks
from ddpm_cli.runs.opening import check_labels
from ddpm_cli.runs.parts import restored


@dataclass(frozen=True)
class Options:
    """What `ddpm-eval` takes beside its data and its sampler.

    metrics: nll, and names such as fd_pixels. samples: images that are drawn; png: as files too; generated: a folder of images in place of
    them. label, guidance, guidance_interval, threshold, quantile, precision: as `ddpm-sample` takes them. reference: the part of the data
    that they are compared with. nll: the variational bound, or the probability flow in nll_steps steps; nll_cdf: of the decoder; images:
    the part of the data; n of them, or all (null). batch: images at a time. seed: of the noise. weights: the average (ema) or the last
    (raw). processes: that share the work, or auto: one for each GPU.
    """

    _: KW_ONLY
    ckpt: str
    metrics: list[str]
    samples: int
    generated: str | None
    png: bool
    label: str | int | None
    guidance: float
    guidance_interval: list[float] | None
    threshold: Literal["static", "dynamic", "none"]
    quantile: float
    precision: Precision
    reference: Literal["training", "held_out", "all"]
    nll: Literal["bound", "ode"]
    nll_cdf: Literal["exact", "tanh"]
    nll_steps: int
    images: Literal["held_out", "training", "all"]
    n: int | None
    batch: int
    seed: int
    weights: Literal["ema", "raw"]
    device: str
    processes: int | Literal["auto"]
    trust: list[str]

    def __post_init__(self) -> None:
        at_least(self, samples=8, nll_steps=1, batch=1, seed=0, processes=1)
        if not self.metrics:
            raise ValueError("metrics must name at least one: nothing would be measured")
        if self.generated is not None and (self.png or self.label is not None):
            raise ValueError("png and label are for images that are drawn, but those of generated=FOLDER are taken as they are")

    @property
    def parts(self) -> list[str]:
        """The parts of the data that these metrics go by."""
        told = {"nll": [self.images], "copies": [self.reference, "training"]}
        return [part for name in self.metrics for part in told.get(name.partition("_")[0], [self.reference])]


@dataclass(frozen=True)
class Subject:
    """What is evaluated: a checkpoint, its denoiser, all images and their parts by name; where it is written, and by which processes."""

    options: Options
    content: Mapping[str, Any]
    denoiser: Denoiser
    parts: Mapping[str, ImageSet]
    preparation: Preparation
    folder: Path
    ranks: Ranks

    @property
    def step(self) -> int:
        """The step of the checkpoint."""
        return self.content["step"]


def opened(cfg: DictConfig, options: Options, folder: Path, ranks: Ranks) -> Subject:
    """Loads the model and the images, and refuses what cannot be evaluated."""
    content = checkpoints.load(Path(options.ckpt).expanduser())
    denoiser = restored(content, weights=options.weights, device=options.device, trust=options.trust)
    if "nll" in options.metrics and options.nll == "ode":
        even_levels(denoiser.diffusion, options.nll_steps)
    source, preparation = asked(cfg, content, options)
    found = ranks.in_turn(lambda: build(source, "data"))
    data = prepared(found, preparation, copies=ranks.here, aloud=ranks.first)
    if denoiser.conditional:
        check_classes(data, content["facts"]["classes"])
    training, held_out = data.parted(preparation.holdout)
    parts = {"training": training, "held_out": held_out, "all": data}
    return Subject(options, content, denoiser, parts, preparation, folder, ranks)


def asked(cfg: DictConfig, content: Mapping[str, Any], options: Options) -> tuple[DictConfig, Preparation]:
    """The command line's data or the packaged digits, for no file is opened at a checkpoint's word; and how they are prepared."""
    recipe, shape = content["config"], list(content["facts"]["shape"])
    if "data" not in cfg and OmegaConf.select(recipe, "data._target_") != "ddpm_cli.data.digits":
        raise ValueError("data=... must name the images: only the packaged digits are taken at a checkpoint's word")
    source, trained = cfg if "data" in cfg else recipe, OmegaConf.select(recipe, "data.holdout", default=0.0)
    bind(source, "data")
    preparation = shared(source, "data")
    if list(preparation.shape) != shape:
        raise ValueError(f"data: images must be of {shape}, as the checkpoint's, but are of {list(preparation.shape)}")
    if preparation.holdout != trained and {*options.parts} != {"all"}:
        told = f"must be {trained}, as in training, but is {preparation.holdout}"
        raise ValueError(f"data.holdout {told}; images=all and reference=all need none")
    kept = preparation.cache if "data" in cfg else "disk"  # nothing is written where a checkpoint says
    return source, replace(preparation, cache=kept)


def check_classes(data: ImageSet, classes: Sequence[str]) -> None:
    """Refuses images whose labels are not those that the checkpoint has learned."""
    if data.classes != list(classes):
        raise ValueError(f"data: classes must be the checkpoint's, {', '.join(classes)}, but are {', '.join(data.classes) or 'none'}")
    check_labels(data)


def chosen(subject: Subject) -> ImageSet:
    """The images of which the likelihood is asked for, n of them spread evenly, with their places in the whole set."""
    options, data, holdout = subject.options, subject.parts["all"], subject.preparation.holdout
    part = subject.parts[options.images].places
    part = torch.arange(len(data.images)) if part is None else part
    n = len(part) if options.n is None else options.n
    if len(part) < 2:
        raise ValueError(f"images={options.images} must be at least 2, but there are {len(part)} (data.holdout={holdout}); or images=all")
    if not 2 <= n <= len(part):
        raise ValueError(f"n must be between 2 and {len(part)}, the images there are (images={options.images}), but is {n}")
    return data.chosen(part[torch.arange(n) * len(part) // n])
