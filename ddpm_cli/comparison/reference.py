"""The images that samples are compared with."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.config.auto import fill_from_recipe, is_digits
from ddpm_cli.config.build import bind_options, build
from ddpm_cli.config.rules import data_rules
from ddpm_cli.config.schema import check_groups
from ddpm_cli.console import printable
from ddpm_cli.data import Preparation
from ddpm_cli.evaluation.classes import images_of_class
from ddpm_cli.generation.labels import class_number
from ddpm_cli.image_sets import ImageSet, load_image_set
from ddpm_cli.metrics import frechet_distance, moments
from ddpm_cli.run_folder.overrides import unnamed_images_text
from ddpm_cli.shapes import Features

FEWEST = 4  # images that have two halves


@dataclass(frozen=True)
class Reference:
    """A part of a data set, by its name in the protocols of ddpm-eval."""

    data: ImageSet
    part: ImageSet
    name: str

    @property
    def protocol_text(self) -> str:
        """The images as a protocol names them."""
        return f"ref {self.part.fingerprint[:10]} {len(self.part.images):,} {self.name}"

    @property
    def summary(self) -> str:
        """The number of images in words."""
        return f"{len(self.part.images):,} of {len(self.data.images):,} images ({self.name})"


@dataclass(frozen=True)
class Floor:
    """The distance of `count` random images of the reference from the `rest` of them."""

    distance: float
    count: int
    rest: int

    def summary(self, n: int) -> str:
        """The floor in words, and what it says of n samples."""
        if self.count == n:
            near = f"{n:,} of these images are {self.distance:.3f} from the {self.rest:,} others"
            return f"{near}: about as near as n={n} samples can be"
        apart = f"two halves of {self.count:,} images are {self.distance:.3f} apart"
        return f"{apart}; a floor for n of about {self.count:,} alone"


def load_reference(
    cfg: DictConfig, checkpoint: Checkpoint, trust: list[str], shape: Sequence[int]
) -> ImageSet:
    """The reference images: the data set of the command line, or the packaged digits.

    A checkpoint cannot name files to read.
    """
    return load_prepared_reference(cfg, checkpoint, trust, shape)[0]


def load_prepared_reference(
    cfg: DictConfig, checkpoint: Checkpoint, trust: list[str], shape: Sequence[int]
) -> tuple[ImageSet, Path | None]:
    """The images of `load_reference`, and the folder of their cache, if they have one."""
    own, recipe = "data" in cfg, checkpoint.config
    if not (own or is_digits(recipe)):
        raise ValueError(unnamed_images_text(checkpoint.overrides or []))
    cfg = cfg if own else recipe.copy()
    if not own and (rules := data_rules(recipe)) is not None:
        cfg.data.rules = rules
    cfg.trust = trust
    try:
        check_groups(cfg, "data")
        fill_from_recipe(cfg, recipe, shape)
        preparation = bind_options(Preparation, cfg.data)()
        if list(preparation.shape) != list(shape):
            size = shape_text(preparation.shape)
            raise ValueError(f"they are of {size}, the checkpoint's of {shape_text(shape)}")
        cache = preparation.cache if own else "disk"  # a checkpoint may not choose a cache folder
        preparation = replace(preparation, cache=cache)
        data = load_image_set(build(cfg, "data"), preparation)
        return check_halves(data), preparation.cache_folder
    except (ValueError, OSError) as error:
        raise ValueError(
            f"no images to measure against ({error}); data=... names others"
        ) from error


def reference_part(data: ImageSet, checkpoint: Checkpoint, label: str | int | None) -> Reference:
    """The images that samples are compared with.

    They are the images of training, or all of other images; of the class alone that is drawn.
    """
    part, name = data, "all"
    if data.matches(checkpoint.fingerprint):
        holdout = OmegaConf.select(checkpoint.config, "data.holdout", default=0.0)
        part, name = data.split(holdout)[0], "training"
    if label in (None, "all"):
        return Reference(data, check_halves(part), name)
    if data.labels is None or data.classes != checkpoint.classes:
        known, own = ", ".join(checkpoint.classes), ", ".join(data.classes) or "none"
        rule = f"the classes of the reference must be the checkpoint's, {known}, but are {own}"
        same = sorted(data.classes) == sorted(checkpoint.classes)
        remedy = "; data.rules=1 reads classes in their order of before" * same
        raise ValueError(f"label={label}: {rule}{remedy}")
    number = class_number(label, data.classes)
    part = images_of_class(data, part, number)
    part = check_halves(part, f"label={label}: ")
    return Reference(data, part, printable(f"class {data.classes[number]} {name}"))


def check_halves(part: ImageSet, where: str = "") -> ImageSet:
    """The same images. Raises ValueError if there are too few for two halves."""
    if (count := len(part.images)) < FEWEST:
        raise ValueError(f"{where}two halves take at least {FEWEST}, but there are {count}")
    return part


def shape_text(shape: Sequence[int]) -> str:
    """Channels, height and width in words."""
    return "x".join(map(str, shape))


def distance_within(features: Features, n: int) -> Floor:
    """The distance of n random images of the reference, at most half of them, from the others.

    A Fréchet distance of n and m images is too large by about 1/n + 1/m.
    """
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(0))
    count = min(n, len(features) // 2)
    one, other = features[order].tensor_split([count])
    return Floor(frechet_distance(moments(one), moments(other)), len(one), len(other))
