"""The checks of a training run on their own: nothing is trained, nothing written."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.commands.train.checks import findings
from ddpm_cli.commands.train.command import Options, spread_out
from ddpm_cli.commands.train.setup import opened
from ddpm_cli.config.build import bound
from ddpm_cli.config.schema import check
from ddpm_cli.config.targets import GROUPS
from ddpm_cli.console import said
from ddpm_cli.parallel import device_named, joined
from ddpm_cli.parallel.launch import check_named

log = logging.getLogger(__name__)


def doctor(cfg: DictConfig, folder: Path, *, named: bool) -> None:
    """Says what a training run of `cfg` in `folder` would meet; ValueError where it would come to nothing."""
    check(cfg, GROUPS, Options)
    bound(Options, cfg)()
    check_named(named)
    if not spread_out(doctor_here, cfg, folder, named=named):
        raise KeyboardInterrupt


def doctor_here(plain: dict[Any, Any], folder: Path, *, features: Mapping[str, Any], named: bool) -> bool:
    """The checks in this process, as the only one or as one of several."""
    cfg = OmegaConf.create(plain)
    with joined(device_named(cfg.trainer.device)) as ranks, said(None, ranks.first):
        found = []
        for each in findings(opened(cfg, folder, ranks, named, features)):
            log.info("%-9s %s", each.level, each.text)
            found.append(each)
        errors = [each.text for each in found if each.level == "error"]
        if errors:
            raise ValueError(f"ddpm-train would stop here: {errors[0]}")
    return True
