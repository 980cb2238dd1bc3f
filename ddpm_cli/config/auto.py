"""The options that hold `auto` until a run chooses their values, and the values of the digits."""

from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

AUTO = "auto"
DIGITS = "ddpm_cli.data.digits"
FIXED: dict[str, Any] = {  # of the digits, and of all images with auto=false
    "data.size": 64,
    "data.flip": True,
    "model.predicts": "eps",
    "model.network.dim": 16,
    "model.network.dim_mults": [1, 2, 4],
    "loss": {"_target_": "ddpm_cli.losses.l2"},
    "trainer.batch_size": 64,
    "trainer.optimizer.lr": 3e-3,
    "trainer.precision": "fp32",
    "trainer.compile": False,
    "trainer.steps": 800,
    "trainer.warmup": 100,
    "trainer.ema": 0.999,
}
OF_LEARNED_VARIANCE = {
    "loss": {"_target_": "ddpm_cli.losses.hybrid", "vlb_weight": 0.001, "distance": "l2"}
}
FOLLOWS = {"schedule.size": "data.size"}  # an option that has the value of another one
NODES = ("loss",)  # groups of which the whole choice is auto


def holds_auto(cfg: DictConfig, key: str) -> bool:
    """Whether an option holds `auto`, or a group the choice `auto`."""
    place = f"{key}._target_" if key in NODES else key
    return bool(OmegaConf.select(cfg, place, default=None) == AUTO)


def auto_options(cfg: DictConfig) -> list[str]:
    """The options of a configuration whose values a run chooses."""
    return [key for key in FIXED if holds_auto(cfg, key)]


def recipe_options(cfg: DictConfig) -> dict[str, Any]:
    """The options of a recipe in a configuration, and their values or `auto`."""
    options = {}
    for key in FIXED:
        value = OmegaConf.select(cfg, key, default=None)
        if value is not None:
            plain = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
            options[key] = AUTO if holds_auto(cfg, key) else plain
    return options


def is_digits(cfg: DictConfig) -> bool:
    """Whether the images are the packaged digits, whose options are never chosen."""
    return bool(OmegaConf.select(cfg, "data._target_", default=None) == DIGITS)


def chosen_options(cfg: DictConfig) -> dict[str, Any]:
    """The options that a run has chosen, and their values; {} for a run that chose none."""
    names = OmegaConf.select(cfg, "auto", default=None)
    values = {key: OmegaConf.select(cfg, key) for key in FIXED} if OmegaConf.is_list(names) else {}
    return {
        key: OmegaConf.to_container(each) if OmegaConf.is_config(each) else each
        for key, each in values.items()
        if key in names and each is not None
    }


def set_options(cfg: DictConfig, values: Mapping[str, Any]) -> None:
    """Set options, and the options that follow them.

    Of the losses that hold `auto`, hybrid alone trains a learned variance.
    """
    if OmegaConf.select(cfg, "model.variance") == "learned":
        values = {
            **values,
            **{key: OF_LEARNED_VARIANCE[key] for key in NODES if holds_auto(cfg, key)},
        }
    for key, value in values.items():
        OmegaConf.update(cfg, key, value, merge=False)
    for key, source in FOLLOWS.items():
        if holds_auto(cfg, key) and source in values:
            OmegaConf.update(cfg, key, values[source], merge=False)


def fill_fixed(cfg: DictConfig) -> None:
    """Give every option that holds `auto` its value without a choice."""
    set_options(cfg, {key: FIXED[key] for key in auto_options(cfg)})


def fill_from_recipe(cfg: DictConfig, recipe: DictConfig, shape: Sequence[int]) -> None:
    """Give options of the data the values of a recipe, whose images have the shape [C, H, W]."""
    fixed = {**FIXED, "data.size": list(shape[1:])}
    names = auto_options(cfg)
    set_options(cfg, {key: OmegaConf.select(recipe, key, default=fixed[key]) for key in names})


def fill_unless_chosen(cfg: DictConfig) -> None:
    """Give the options their values without a choice for the digits, and with auto=false."""
    if is_digits(cfg) or not cfg.get("auto", True):
        fill_fixed(cfg)
