"""The invocation of a command, from the configuration that Hydra has composed."""

import os
import sys
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from ddpm_cli.cli.output_folders import NAMED_BY
from ddpm_cli.config.invocation import Invocation


def read_invocation(cfg: DictConfig) -> Invocation:
    """Read how the command was called, and allow imports of its trusted modules from this folder.

    The working directory is the caller's, also with hydra.job.chdir: paths are typed from there.
    Raises ValueError if a YAML file, which may come from elsewhere, asks for trust.
    """
    hydra_cfg = HydraConfig.get()
    os.chdir(hydra_cfg.runtime.cwd)
    invocation = invocation_of(cfg, hydra_cfg, Path(hydra_cfg.runtime.output_dir))
    if cfg.get("trust"):
        sys.path.insert(0, os.getcwd())
    return invocation


def invocation_of(cfg: DictConfig, hydra_cfg: Any, folder: Path) -> Invocation:
    """The invocation that composed a configuration; Hydra's own configuration tells how.

    Raises ValueError if a YAML file, which may come from elsewhere, asks for trust.
    """
    typed, trust = list(hydra_cfg.overrides.task), cfg.get("trust")
    for name in ("trust", "init"):
        if cfg.get(name) and not any(each.startswith(f"{name}=") for each in typed):
            raise ValueError(f"{name} can be given on the command line only")
    sources = hydra_cfg.runtime.config_sources
    own = [str(Path(each.path).absolute()) for each in sources if each.provider == "command-line"]
    return Invocation(
        folder=folder,
        folder_is_named=any(each.startswith(NAMED_BY) for each in hydra_cfg.overrides.hydra),
        overrides=typed,
        config_dir=next(iter(own), None),
        trust=[] if isinstance(trust, bool) else list(trust or ()),
    )
