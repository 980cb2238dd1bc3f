"""The overrides that a run was started with."""

from pathlib import Path

import yaml

from ddpm_cli.run_folder.layout import HYDRA


def typed_overrides(folder: Path) -> list[str]:
    """Read the overrides as typed, the last of equal overrides; return [] if the file is bad."""
    path = folder / HYDRA / "overrides.yaml"
    try:
        content = yaml.safe_load(path.read_bytes()) if path.is_file() else []
    except (yaml.YAMLError, ValueError, RecursionError):
        return []
    texts = [each for each in content if isinstance(each, str)] if isinstance(content, list) else []
    return [*reversed(dict.fromkeys(reversed(texts)))]  # YAML can name one text a million times
