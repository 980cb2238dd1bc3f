"""The version of the rules by which the images of a configuration are read."""

from omegaconf import DictConfig, OmegaConf

WITH_RULES = {f"ddpm_cli.data.{name}" for name in ("folder", "archive", "arrays", "hub", "several")}


def data_rules(cfg: DictConfig) -> int | None:
    """The version, 1 if an older configuration names none; None if the source has no versions."""
    if OmegaConf.select(cfg, "data._target_", default=None) not in WITH_RULES:
        return None
    return OmegaConf.select(cfg, "data.rules", default=1)
