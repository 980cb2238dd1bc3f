"""Samplers and guiders by their names, each with the options of its YAML file."""

from collections.abc import Sequence
from typing import Literal

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.config.composition import choices, compose_present
from ddpm_cli.config.other_names import meant_value
from ddpm_cli.config.schema import check_groups


def check_names(group: str, names: Sequence[str]) -> None:
    """Refuse a name that is no choice of the group, sampler or guider."""
    known = choices(group)
    for name in names:
        if name not in known:
            meant = meant_value(group, name, known)
            advice = f"; did you mean {meant}?" * bool(meant)
            rule = f"{group}s must be among {', '.join(known)}"
            raise ValueError(f"{rule}, but {name!r} is not{advice}")


def sampler_config(name: str, steps: int | Literal["all"], trust: list[str]) -> DictConfig:
    """The configuration of ddpm-sample with a sampler. Raises ValueError for bad options."""
    cfg = choice_config(f"sampler={name}", trust)
    cfg.sampler.steps = steps
    check_groups(cfg, "sampler")
    return cfg


def guider_config(name: str, trust: list[str]) -> DictConfig:
    """The configuration of ddpm-sample with a guider. Raises ValueError for bad options."""
    cfg = choice_config(f"guider={name}", trust)
    check_groups(cfg, "guider")
    return cfg


def choice_config(choice: str, trust: list[str]) -> DictConfig:
    """The configuration of ddpm-sample with a choice of a group, to be changed."""
    cfg = compose_present("sample", [choice])
    OmegaConf.set_struct(cfg, False)
    cfg.trust = trust
    return cfg
