"""Versions of what a run depends on, and the commit of its sources."""

import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

import torch


@cache
def environment() -> dict[str, str]:
    """Versions by package, and the commit of the sources where they are a checkout."""
    root = Path(__file__).resolve().parents[2]
    describe = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    git = (
        subprocess.run(describe, capture_output=True, text=True, check=False).stdout.strip()
        if (root / ".git").exists()
        else ""
    )
    versions = {name: version(name) for name in ("ddpm-cli", "torchvision", "datasets", "numpy")}
    return {
        "python": platform.python_version(),
        "machine": platform.platform(),
        "git": git,
        "torch": str(torch.__version__),
        **versions,
    }
