"""Models on the hub that options name, fetched and named by their commits from then on."""

from importlib import import_module
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.hub.address import is_address

CHECKPOINTS = ("ckpt", "guide", "previews.guide")


def pin_checkpoints(cfg: DictConfig) -> DictConfig:
    """Put the commit into hf://OWNER/NAME, which all processes and files of a command then name.

    Raises ValueError if there is no such model, or no checkpoint in it.
    """
    for name in CHECKPOINTS:
        text: Any = OmegaConf.select(cfg, name, throw_on_missing=False)
        if isinstance(text, str) and is_address(text):
            pinned = import_module("ddpm_cli.checkpoints.published").pin_revision(text)
            OmegaConf.update(cfg, name, pinned)
    return cfg
