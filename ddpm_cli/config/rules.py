"""How the images of a configuration are read: the version of the rules, and what is held out."""

from collections.abc import Sequence

from omegaconf import DictConfig, OmegaConf

WITH_RULES = {f"ddpm_cli.data.{name}" for name in ("folder", "archive", "arrays", "hub", "several")}


def data_rules(cfg: DictConfig) -> int | None:
    """The version, 1 if an older configuration names none; None if the source has no versions."""
    if OmegaConf.select(cfg, "data._target_", default=None) not in WITH_RULES:
        return None
    return OmegaConf.select(cfg, "data.rules", default=1)


def settle_holdout(cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Set the share of held-out images to 0 if a whole split is held out.

    Raises ValueError if an override gives such a share.
    """
    split = OmegaConf.select(cfg, "data.held_out_split", default=None)
    share = OmegaConf.select(cfg, "data.holdout", default=0.0)
    if split is None or not share:
        return
    if any(each.lstrip("+").startswith("data.holdout=") for each in overrides):
        rule = f"data.holdout must be 0 with data.held_out_split={split}, but is {share}"
        raise ValueError(f"{rule}; data.held_out_split=null holds a share out of the split itself")
    cfg.data.holdout = 0.0
