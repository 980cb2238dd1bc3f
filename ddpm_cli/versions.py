"""The versions of packages, without importing them."""

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ddpm_cli.files import load_text

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"  # in a checkout


def package_version(name: str, project: Path = PROJECT) -> str:
    """The version of an installed package, else the version in the checkout's `project` file."""
    try:
        return version(name)
    except PackageNotFoundError:
        own = tomllib.loads(load_text(project))["project"] if project.is_file() else {}
        return str(own["version"]) if own.get("name") == name else "unknown"
