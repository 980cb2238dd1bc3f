"""The invocation of the command that runs, read from Hydra once."""

import os
import sys
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from ddpm_cli.config.invocation import Invocation

FOLDERS = ("hydra.run.dir=", "hydra.sweep.dir=")


def read_invocation(cfg: DictConfig) -> Invocation:
    """Read how the command was called, and let its trusted modules be imported from here.

    Raises ValueError where a YAML file, which may come from elsewhere, asks for trust.
    """
    hydra_cfg = HydraConfig.get()
    typed, sources = list(hydra_cfg.overrides.task), hydra_cfg.runtime.config_sources
    if trust := cfg.get("trust"):
        if not any(each.startswith("trust=") for each in typed):
            raise ValueError("trust can be given on the command line only")
        sys.path.insert(0, os.getcwd())
    own = [str(Path(each.path).absolute()) for each in sources if each.provider == "command-line"]
    return Invocation(
        folder=Path(hydra_cfg.runtime.output_dir),
        folder_is_named=any(each.startswith(FOLDERS) for each in hydra_cfg.overrides.hydra),
        overrides=typed,
        config_dir=next(iter(own), None),
        trust=[] if isinstance(trust, bool) else list(trust or ()),
    )
