"""A checkpoint is one file that says all about its run, is written whole or not at all, and runs no code when it is read."""

import os
import pickle
import platform
import subprocess
import zipfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ddpm_cli.images import whole
from ddpm_cli.parallel import load_network, load_optimizer, network_state, optimizer_state
from ddpm_cli.training import TrainState

FORMAT = 1
UNREADABLE = (
    zipfile.BadZipFile,
    pickle.UnpicklingError,
    EOFError,
    OSError,
    RuntimeError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
)
FIELDS = {"config": str, "step": int, "data": str} | dict.fromkeys(("network", "ema", "optimizer", "environment", "facts"), Mapping)
FACTS = {"shape": list, "classes": list, "steps": int}


def save(path: Path, state: TrainState, cfg: DictConfig, *, data: str, facts: Mapping[str, Any]) -> None:
    """Writes the state of a run; `data` is the fingerprint of its images, `facts` what it found out.

    facts: shape [C, H, W] of the images, names of the classes, steps of the whole run.
    """
    content = {
        "format": FORMAT,
        "config": OmegaConf.to_yaml(cfg, resolve=True),
        "step": state.step,
        "network": network_state(state.denoiser.network),
        "ema": network_state(state.average),
        "optimizer": optimizer_state(state.optimizer),
        "environment": environment(),
        "data": data,
        "facts": dict(facts),
    }

    def write(partial: Path) -> None:
        with partial.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())

    whole(path, write)


def keep(folder: Path, state: TrainState, cfg: DictConfig, *, data: str, facts: Mapping[str, Any], last: int) -> Path:
    """Saves `step_*.pt` in `folder`, links `last.pt` to it, and drops the oldest beyond the `last` newest."""
    path = folder / f"step_{state.step:08d}.pt"
    save(path, state, cfg, data=data, facts=facts)
    whole(folder / "last.pt", lambda partial: os.link(path, partial))
    for old in sorted(folder.glob("step_*.pt"))[:-last]:
        old.unlink()
    return path


def load(path: Path) -> dict[str, Any]:
    """Reads a checkpoint on the CPU, its `config` as a DictConfig; ValueError says in one line what is wrong with it."""
    if not path.is_file():
        raise ValueError(f"there is no checkpoint at {str(path)!r}")
    try:
        zipfile.ZipFile(path).close()  # what torch writes; its unpickler for older files is not needed
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise ValueError(f"cannot read the checkpoint {str(path)!r}: it is damaged, or no checkpoint, or would run code") from error
    if not isinstance(content, dict) or "format" not in content:
        raise ValueError(f"{str(path)!r} is not a checkpoint of ddpm-train")
    if content["format"] != FORMAT:
        raise ValueError(f"the checkpoint {str(path)!r} has format {content['format']!r}; this version reads format {FORMAT}")
    for fields, where in ((FIELDS, content), (FACTS, content.get("facts"))):
        for name, kind in fields.items():
            if not isinstance(where, Mapping) or not isinstance(where.get(name), kind):
                raise ValueError(f"the checkpoint {path}: {name!r} is missing or not what it should be")
    return {**content, "config": parsed(content["config"], str(path))}


def parsed(text: str, where: str) -> DictConfig:
    """The configuration in a checkpoint: plain text, never interpolated and without aliases."""
    try:
        plain = "${" not in text and not any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text))
        cfg = OmegaConf.create(text) if plain else None
    except (OmegaConfBaseException, yaml.YAMLError, ValueError):
        cfg = None
    if not isinstance(cfg, DictConfig):
        raise ValueError(f"the checkpoint {where}: its configuration is not plain text that can be read")
    return cfg


def restore(state: TrainState, content: Mapping[str, Any]) -> None:
    """Puts the network, the average, the optimizer and the step of a loaded checkpoint into `state`."""
    load_network(state.denoiser.network, content["network"])
    load_network(state.average, content["ema"])
    load_optimizer(state.optimizer, content["optimizer"])
    state.step = content["step"]


def newest(folder: Path) -> Path | None:
    """The checkpoint of the most steps in a run's folder."""
    return max((folder / "checkpoints").glob("step_*.pt"), default=None)


def environment() -> dict[str, str]:
    """Versions, and the commit of the sources where they are a checkout, for whoever must do it again."""
    root = Path(__file__).resolve().parent.parent
    describe = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    git = subprocess.run(describe, capture_output=True, text=True, check=False).stdout.strip() if (root / ".git").exists() else ""
    versions = {name: version(name) for name in ("ddpm-cli", "torchvision", "datasets", "numpy")}
    return {"python": platform.python_version(), "machine": platform.platform(), "git": git, "torch": str(torch.__version__), **versions}
