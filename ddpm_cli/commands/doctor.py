"""The checks of a training run on their own: nothing is trained, nothing written."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.commands.train.checks import preflight_findings
from ddpm_cli.commands.train.command import Options, run_as_configured
from ddpm_cli.commands.train.setup import set_up_run
from ddpm_cli.config.build import bind_options
from ddpm_cli.config.schema import check_config
from ddpm_cli.config.targets import GROUPS
from ddpm_cli.console import logging_to
from ddpm_cli.parallel import find_device, join_group
from ddpm_cli.parallel.launch import check_folder_is_named

log = logging.getLogger(__name__)


def doctor(cfg: DictConfig, folder: Path, *, named: bool) -> None:
    """Says what a training run of `cfg` in `folder` would meet; ValueError where it would come to nothing."""
    check_config(cfg, GROUPS, Options)
    bind_options(Options, cfg)()
    check_folder_is_named(named)
    if not run_as_configured(doctor_in_process, cfg, folder, named=named):
        raise KeyboardInterrupt


def doctor_in_process(
    plain: dict[Any, Any], folder: Path, *, features: Mapping[str, Any], named: bool
) -> bool:
    """The checks in this process, as the only one or as one of several."""
    cfg = OmegaConf.create(plain)
    with join_group(find_device(cfg.trainer.device)) as group, logging_to(None, group.is_first):
        found = []
        for each in preflight_findings(set_up_run(cfg, folder, group, named, features)):
            log.info("%-9s %s", each.level, each.text)
            found.append(each)
        errors = [each.text for each in found if each.level == "error"]
        if errors:
            raise ValueError(f"ddpm-train would stop here: {errors[0]}")
    return True
