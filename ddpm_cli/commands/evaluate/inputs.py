"""What `ddpm-eval` is asked for and what it looks at: a model, and the parts of its data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.commands.evaluate.options import Options
from ddpm_cli.config.build import bind, build, group_options
from ddpm_cli.data import ImageSet, Preparation, load_image_set
from ddpm_cli.data.image_set import check_labels
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.evaluation.bits_per_dim import even_levels
from ddpm_cli.models import load_denoiser
from ddpm_cli.parallel import ProcessGroup


@dataclass(frozen=True)
class EvaluationInputs:
    """What is evaluated: a checkpoint, its denoiser, all images and their parts by name; where it is written, and by which processes."""

    options: Options
    checkpoint: Checkpoint
    denoiser: Denoiser
    parts: Mapping[str, ImageSet]
    preparation: Preparation
    folder: Path
    group: ProcessGroup

    @property
    def step(self) -> int:
        """The step of the checkpoint."""
        return self.checkpoint.step


def load_inputs(
    cfg: DictConfig, options: Options, folder: Path, group: ProcessGroup
) -> EvaluationInputs:
    """Loads the model and the images, and refuses what cannot be evaluated."""
    checkpoint = Checkpoint.load(Path(options.ckpt).expanduser()).trusting(options.trust)
    denoiser = load_denoiser(
        checkpoint, weights=options.weights, device=options.device, trust=options.trust
    )
    if "nll" in options.metrics and options.nll == "ode":
        even_levels(denoiser.diffusion, options.nll_steps)
    source, preparation = data_config(cfg, checkpoint, options)
    found = group.first_then_others(lambda: build(source, "data"))
    data = load_image_set(found, preparation, copies=group.here, aloud=group.is_first)
    if denoiser.conditional:
        check_classes(data, checkpoint.classes)
    training, held_out = data.parted(preparation.holdout)
    parts = {"training": training, "held_out": held_out, "all": data}
    return EvaluationInputs(options, checkpoint, denoiser, parts, preparation, folder, group)


def data_config(
    cfg: DictConfig, checkpoint: Checkpoint, options: Options
) -> tuple[DictConfig, Preparation]:
    """The command line's data or the packaged digits, for no file is opened at a checkpoint's word; and how they are prepared."""
    recipe, shape = checkpoint.config, checkpoint.shape
    if "data" not in cfg and OmegaConf.select(recipe, "data._target_") != "ddpm_cli.data.digits":
        raise ValueError(
            "data=... must name the images: only the packaged digits are taken at a checkpoint's word"
        )
    source, trained = (
        cfg if "data" in cfg else recipe,
        OmegaConf.select(recipe, "data.holdout", default=0.0),
    )
    bind(source, "data")
    preparation = group_options(source, "data")
    if list(preparation.shape) != shape:
        raise ValueError(
            f"data: images must be of {shape}, as the checkpoint's, but are of {list(preparation.shape)}"
        )
    if preparation.holdout != trained and {*options.parts} != {"all"}:
        told = f"must be {trained}, as in training, but is {preparation.holdout}"
        raise ValueError(f"data.holdout {told}; images=all and reference=all need none")
    kept = (
        preparation.cache if "data" in cfg else "disk"
    )  # nothing is written where a checkpoint says
    return source, replace(preparation, cache=kept)


def check_classes(data: ImageSet, classes: Sequence[str]) -> None:
    """Refuses images whose labels are not those that the checkpoint has learned."""
    if data.classes != list(classes):
        raise ValueError(
            f"data: classes must be the checkpoint's, {', '.join(classes)}, but are {', '.join(data.classes) or 'none'}"
        )
    check_labels(data)


def likelihood_images(subject: EvaluationInputs) -> ImageSet:
    """The images of which the likelihood is asked for, n of them spread evenly, with their places in the whole set."""
    options, data, holdout = subject.options, subject.parts["all"], subject.preparation.holdout
    part = subject.parts[options.images].places
    part = torch.arange(len(data.images)) if part is None else part
    n = len(part) if options.n is None else options.n
    if len(part) < 2:
        raise ValueError(
            f"images={options.images} must be at least 2, but there are {len(part)} (data.holdout={holdout}); or images=all"
        )
    if not 2 <= n <= len(part):
        raise ValueError(
            f"n must be between 2 and {len(part)}, the images there are (images={options.images}), but is {n}"
        )
    return data.chosen(part[torch.arange(n) * len(part) // n])
