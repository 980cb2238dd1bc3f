"""The version of the rules by which the images of a configuration are read."""

from omegaconf import DictConfig, OmegaConf

RULED = {f"ddpm_cli.data.{name}" for name in ("folder", "archive", "arrays", "hub", "several")}


def data_rules(cfg: DictConfig) -> int | None:
    """The version; 1 of an older configuration, which does not name it; None without versions."""
    if OmegaConf.select(cfg, "data._target_", default=None) not in RULED:
        return None
    return OmegaConf.select(cfg, "data.rules", default=1)
