"""The overrides that a run was started with."""

from pathlib import Path

from omegaconf import OmegaConf

from ddpm_cli.config.plain_text import bounded_text, plain_yaml
from ddpm_cli.run_folder.layout import HYDRA


def typed_overrides(folder: Path) -> list[str]:
    """Read the overrides as typed, the last of equal overrides; return [] if the file is bad."""
    path = folder / HYDRA / "overrides.yaml"
    try:
        content = OmegaConf.to_container(plain_yaml(bounded_text(path)))
    except ValueError:
        return []
    texts = [each for each in content if isinstance(each, str)] if isinstance(content, list) else []
    return [*reversed(dict.fromkeys(reversed(texts)))]
