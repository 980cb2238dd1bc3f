"""Samplers by their names, each with the options of its YAML file and a number of steps."""

from collections.abc import Sequence
from typing import Literal

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.config.composition import choices, compose_present
from ddpm_cli.config.other_names import meant_value
from ddpm_cli.config.schema import check_groups


def check_sampler_names(samplers: Sequence[str]) -> None:
    """Refuse the name of a sampler that has no YAML file."""
    known = choices("sampler")
    for name in samplers:
        if name not in known:
            meant = meant_value("sampler", name, known)
            advice = f"; did you mean {meant}?" * bool(meant)
            names = ", ".join(known)
            raise ValueError(f"samplers must be among {names}, but {name!r} is not{advice}")


def sampler_config(name: str, steps: int | Literal["all"], trust: list[str]) -> DictConfig:
    """The configuration of ddpm-sample with a sampler. Raises ValueError for bad options."""
    cfg = compose_present("sample", [f"sampler={name}"])
    OmegaConf.set_struct(cfg, False)
    cfg.trust = trust
    cfg.sampler.steps = steps
    check_groups(cfg, "sampler")
    return cfg
