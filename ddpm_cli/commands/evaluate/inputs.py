"""The inputs of `ddpm-eval`: a model, and the parts of its data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf

from ddpm_cli.checkpoints import WEIGHTS, Checkpoint, checkpoint_path
from ddpm_cli.commands.evaluate.options import PARTS, Options
from ddpm_cli.commands.evaluate.reference_file import FILE, ReferenceFile, load_reference_file
from ddpm_cli.components import load_denoiser
from ddpm_cli.config.auto import AUTO, fill_from_recipe, is_digits
from ddpm_cli.config.build import bind_options, build
from ddpm_cli.config.rules import data_rules
from ddpm_cli.config.schema import check_groups
from ddpm_cli.config.values import yaml_text
from ddpm_cli.console import printable
from ddpm_cli.data import Preparation
from ddpm_cli.denoiser import Denoiser
from ddpm_cli.evaluation.bits_per_dim import even_levels
from ddpm_cli.evaluation.classes import images_of_class
from ddpm_cli.even_indices import evenly_spaced
from ddpm_cli.generation.labels import class_number
from ddpm_cli.generation.options import ALL, GenerationOptions
from ddpm_cli.generation.store import ImageStore
from ddpm_cli.image_sets import ImageSet, load_image_set
from ddpm_cli.image_sets.image_set import check_labels
from ddpm_cli.parallel import ProcessGroup
from ddpm_cli.run_folder.overrides import unnamed_images_text


@dataclass(frozen=True)
class EvaluationInputs:
    """A checkpoint, its denoiser, the data's parts by name, and the results' folder.

    Without metrics that take data there are no parts. reference: the part that generated images are
    compared with, or `file`. file: the reference in a file. name: names an image of the source.
    """

    options: Options
    generation: GenerationOptions
    checkpoint: Checkpoint
    denoiser: Denoiser
    parts: Mapping[str, ImageSet]
    reference: str
    file: ReferenceFile | None
    name: Callable[[int], str]
    preparation: Preparation
    folder: Path
    group: ProcessGroup

    def training_name(self, index: int) -> str:
        """The name of a training image."""
        records = self.parts["training"].records
        assert records is not None, "a source is decoded with its records"
        return self.name(int(records["place"][index]))

    @property
    def held_out(self) -> int:
        """The number of held-out images."""
        return len(self.parts["held_out"].images) if "held_out" in self.parts else 0


def load_inputs(
    cfg: DictConfig, options: Options, folder: Path, group: ProcessGroup
) -> EvaluationInputs:
    """Load the model and the images. Raises ValueError if they cannot be evaluated."""
    checkpoint = Checkpoint.load(checkpoint_path(options.ckpt), [WEIGHTS[options.weights]])
    weights, device, trust = options.weights, options.device, options.trust
    denoiser = load_denoiser(checkpoint, weights=weights, device=device, trust=trust)
    if "nll" in options.metrics and options.nll == "ode":
        even_levels(denoiser.diffusion, options.nll_steps)
    draws_classes = denoiser.conditional and options.generated is None
    generation = generation_options(cfg, folder, draws_classes)
    parts, name, preparation = load_parts(cfg, checkpoint, options, denoiser, group)
    reference, file = options.reference, None
    if reference not in PARTS:
        file = load_reference_file(reference, options.metrics, preparation, group)
        reference = FILE
        if file.images is not None:
            parts[FILE] = file.images
    elif generation.label not in (None, ALL):
        reference, of_class = class_part(parts, reference, generation.label)
        parts[reference] = of_class
    return EvaluationInputs(
        options=options,
        generation=generation,
        checkpoint=checkpoint,
        denoiser=denoiser,
        parts=parts,
        reference=reference,
        file=file,
        name=name,
        preparation=preparation,
        folder=folder,
        group=group,
    )


def load_parts(
    cfg: DictConfig,
    checkpoint: Checkpoint,
    options: Options,
    denoiser: Denoiser,
    group: ProcessGroup,
) -> tuple[dict[str, ImageSet], Callable[[int], str], Preparation]:
    """The parts of the data by name, names of its images, and how images are prepared.

    There are no parts if a reference file is all that the metrics take.
    """
    if not options.parts:
        if "data" in cfg:
            raise ValueError(f"data has no effect with reference={options.reference}")
        channels, *size = checkpoint.shape
        plain = {"size": size, "channels": channels, "flip": False, "cache": "disk"}
        return {}, str, bind_options(Preparation, OmegaConf.create(plain))()
    node, preparation = data_config(cfg, checkpoint, options)
    source = group.first_then_others(lambda: build(node, "data"))
    data = load_image_set(source, preparation, copies=group.here, verbose=group.rank == 0)
    if denoiser.conditional:
        if data.classes != checkpoint.classes:
            known, own = ", ".join(checkpoint.classes), ", ".join(data.classes) or "none"
            raise ValueError(f"data: classes must be the checkpoint's, {known}, but are {own}")
        check_labels(data, every=denoiser.needs_label)
    training, held_out = data.split(preparation.holdout)
    parts = {"training": training, "held_out": held_out, "all": data}
    return parts, source.name, preparation


def class_part(parts: Mapping[str, ImageSet], part: str, label: str | int) -> tuple[str, ImageSet]:
    """The images of a class in a part of the data, and the part's name."""
    data = parts["all"]
    if data.labels is None:
        raise ValueError(f"label={label} needs images with classes to compare with")
    number = class_number(label, data.classes)
    name = printable(f"class {data.classes[number]} {named_part(parts, part)}")
    return name, images_of_class(data, parts[part], number)


def part_text(inputs: EvaluationInputs, part: str) -> str:
    """The name of a part in a protocol, with the official split that was held out."""
    return named_part(inputs.parts, part)


def named_part(parts: Mapping[str, ImageSet], part: str) -> str:
    """The name of a part of the data, with the official split that was held out."""
    split = parts[part].held_out_split if part == "held_out" else None
    return f"{part} (split {split.name})" if split else part


def generation_options(cfg: DictConfig, folder: Path, conditional: bool) -> GenerationOptions:
    """The options of the images to draw, with label=auto resolved.

    It is no label if images without a label are in the folder already, as of an earlier version.
    """
    options = bind_options(GenerationOptions, cfg)()
    if options.label == AUTO and (options.guidance == 1 or options.guide is not None):
        before = ImageStore(folder, png=False, npz=True).read_provenance().get("recipe", {})
        if before.get("label", AUTO) is None:
            return replace(options, label=None)
    return options.of_model(conditional)


def data_config(
    cfg: DictConfig, checkpoint: Checkpoint, options: Options
) -> tuple[DictConfig, Preparation]:
    """The data of the command line or the packaged digits, and how the data is prepared.

    A checkpoint cannot name files to read.
    """
    recipe, own = checkpoint.config, "data" in cfg
    if not (own or is_digits(recipe)):
        raise ValueError(unnamed_images_text(checkpoint.overrides or []))
    source = cfg if own else recipe
    check_groups(source, "data")
    fill_from_recipe(source, recipe, checkpoint.shape)
    preparation = bind_options(Preparation, source.data)()
    if list(preparation.shape) != checkpoint.shape:
        raise ValueError(
            f"data: images must be of {checkpoint.shape}, as the checkpoint's, "
            f"but are of {list(preparation.shape)}"
        )
    if {*options.parts} != {"all"}:
        check_split(recipe, source)
    before, now = data_rules(recipe), data_rules(source)
    if before and now and before != now and {*options.parts} != {"all"}:
        rule = f"must be {before}, as in training, but is {now}"
        raise ValueError(f"data.rules {rule}; images=all and reference=all need none")
    cache = preparation.cache if own else "disk"  # a checkpoint may not choose a cache folder
    return source, replace(preparation, cache=cache)


def check_split(recipe: DictConfig, cfg: DictConfig) -> None:
    """Refuse other held-out images than those of the training run."""
    for name, default in (("data.held_out_split", None), ("data.holdout", 0.0)):
        trained, now = (OmegaConf.select(each, name, default=default) for each in (recipe, cfg))
        if trained != now:
            rule = f"must be {yaml_text(trained)}, as in training, but is {yaml_text(now)}"
            raise ValueError(f"{name} {rule}; images=all and reference=all need none")


def likelihood_images(inputs: EvaluationInputs) -> ImageSet:
    """The images whose likelihood is measured: n images spread evenly over a part."""
    options, data, holdout = inputs.options, inputs.parts["all"], inputs.preparation.holdout
    part = inputs.parts[options.images].places
    part = torch.arange(len(data.images)) if part is None else part
    n = len(part) if options.n is None else options.n
    if len(part) < 2:
        raise ValueError(
            f"images={options.images} must be at least 2, but there are {len(part)} "
            f"(data.holdout={holdout}); or images=all"
        )
    if not 2 <= n <= len(part):
        raise ValueError(
            f"n must be between 2 and {len(part)}, the images there are "
            f"(images={options.images}), but is {n}"
        )
    return data.subset(part[torch.tensor(evenly_spaced(len(part), n))])
