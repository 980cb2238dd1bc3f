"""The images that samples are compared with."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from omegaconf import DictConfig

from ddpm_cli.checkpoints import Checkpoint
from ddpm_cli.config.auto import fill_from_recipe
from ddpm_cli.config.build import bind_options, build
from ddpm_cli.config.rules import data_rules
from ddpm_cli.config.schema import check_groups
from ddpm_cli.data import Preparation
from ddpm_cli.evaluation.classes import images_of_class
from ddpm_cli.generation.labels import class_number
from ddpm_cli.image_sets import ImageSet, load_image_set
from ddpm_cli.metrics import frechet_distance, moments
from ddpm_cli.shapes import Features

FEWEST = 4  # images that have two halves


def load_reference(
    cfg: DictConfig, recipe: DictConfig, trust: list[str], shape: Sequence[int]
) -> ImageSet:
    """The reference images: the data set of the command line, else that of the checkpoint."""
    own = "data" in cfg
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
        data = load_image_set(build(cfg, "data"), replace(preparation, cache=cache))
        if (count := len(data.images)) < FEWEST:
            raise ValueError(f"two halves take at least {FEWEST}, but there are {count}")
        return data
    except (ValueError, OSError) as error:
        raise ValueError(
            f"no images to measure against ({error}); data=... names others"
        ) from error


def reference_part(data: ImageSet, checkpoint: Checkpoint, label: str | int | None) -> ImageSet:
    """The reference images of the class that is drawn; all images if no single class is drawn."""
    if label in (None, "all"):
        return data
    if data.labels is None or data.classes != checkpoint.classes:
        known, own = ", ".join(checkpoint.classes), ", ".join(data.classes) or "none"
        rule = f"the classes of the reference must be the checkpoint's, {known}, but are {own}"
        same = sorted(data.classes) == sorted(checkpoint.classes)
        remedy = "; data.rules=1 reads classes in their order of before" * same
        raise ValueError(f"label={label}: {rule}{remedy}")
    part = images_of_class(data, data, class_number(label, data.classes))
    if (count := len(part.images)) < FEWEST:
        raise ValueError(f"label={label}: two halves take at least {FEWEST}, but there are {count}")
    return part


def shape_text(shape: Sequence[int]) -> str:
    """Channels, height and width in words."""
    return "x".join(map(str, shape))


def distance_between_halves(features: Features) -> float:
    """The distance between two random halves of the reference."""
    order = torch.randperm(len(features), generator=torch.Generator().manual_seed(0))
    one, other = features[order].tensor_split(2)
    return frechet_distance(moments(one), moments(other))
