"""The overrides that a run was started with."""

from pathlib import Path

import yaml


def typed_overrides(folder: Path) -> list[str]:
    """The overrides that the run was started with, of equal ones the last; none where they cannot be read."""
    path = folder / ".hydra/overrides.yaml"
    try:
        found = yaml.safe_load(path.read_bytes()) if path.is_file() else []
    except (yaml.YAMLError, ValueError, RecursionError):
        return []
    own = [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
    return [
        *reversed(dict.fromkeys(reversed(own)))
    ]  # a text that is named a million times is in memory once
