"""The group `like`: networks of public checkpoints, for files that do not say what they are."""

from collections.abc import Sequence

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.config.auto import auto_options
from ddpm_cli.config.composition import choices, compose_present, composing
from ddpm_cli.foreign.entries import NamedTensors
from ddpm_cli.foreign.model import ForeignModel, numbered_classes
from ddpm_cli.foreign.openai_file import openai_model
from ddpm_cli.foreign.unet_config import MOST_CLASSES

LIKE = ("model", "schedule")  # the groups that a like gives


def like_model(
    cfg: DictConfig,
    state: NamedTensors,
    *,
    size: int | list[int] | None,
    classes: int | list[str] | None,
    origin: dict[str, str],
) -> ForeignModel:
    """The model of a state dict by the configuration of a `like`. Raises ValueError."""
    if missing := [name for name in LIKE if name not in cfg]:
        raise ValueError(f"like must give {' and '.join(LIKE)}, but has no {missing[0]}")
    if size is None:
        raise ValueError("size must be given: the side of the images, or [H, W]")
    if left := auto_options(cfg):
        raise ValueError(f"like must give {left[0]} a value, but that is auto")
    if isinstance(classes, int) and not 0 <= classes <= MOST_CLASSES:
        raise ValueError(f"classes must be 0 to {MOST_CLASSES:,}, but are {classes}")
    names = numbered_classes(classes or 0) if isinstance(classes, int | None) else classes
    sides = [size, size] if isinstance(size, int) else size
    if len(sides) != 2 or min(sides) < 1:
        raise ValueError(f"size must be a side of at least 1, or two, but is {size}")
    config = OmegaConf.create({name: cfg[name] for name in LIKE})
    return openai_model(config, state, sides=sides, classes=names, origin=origin)


def fitting_likes(state: NamedTensors) -> list[str]:
    """The likes, ours and the user's, whose shapes are those of a state dict."""
    with composing():
        return [name for name in sorted(choices("like")) if is_like(name, state)]


def is_like(name: str, state: NamedTensors) -> bool:
    """Whether a like has the shapes of a state dict; one that builds no network has not."""
    cfg = compose_present("import", [f"like={name}"])
    options = {each: cfg[each] for each in ("size", "classes")}
    try:
        like_model(cfg, state, **options, origin={}).check()
    except ValueError:
        return False
    return True


def missing_like(names: Sequence[str]) -> str:
    """What to give as `like`, by the names whose shapes fit."""
    if names:
        return f"like must be given: the shapes fit {' and '.join(names)}"
    return (
        "like must be given, but the shapes fit none: describe the network in like/NAME.yaml of a"
        " folder of your own (--config-dir), as ours in configs/like"
    )
