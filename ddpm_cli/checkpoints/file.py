"""What is in a checkpoint: written, read, and put back into a run."""

import os
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from ddpm_cli.checkpoints.archive import UNREADABLE, check_archive
from ddpm_cli.checkpoints.faults import faults, faults_of_moments, parsed
from ddpm_cli.checkpoints.migrations import FORMAT, migrated
from ddpm_cli.files import whole
from ddpm_cli.parallel import load_network, load_optimizer, network_state, optimizer_state
from ddpm_cli.training import TrainState
from ddpm_cli.training.verdict import Verdict


def content(state: TrainState, cfg: DictConfig, *, data: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint holds, its tensors where training has them.

    data: the fingerprint of the images. facts: what the run found out: their shape [C, H, W], names of the classes, steps in all.
    """
    return {
        "format": FORMAT,
        "config": OmegaConf.to_yaml(cfg, resolve=True),
        "step": state.step,
        "network": network_state(state.denoiser.network),
        "ema": network_state(state.average),
        "loss": network_state(state.extra),
        "history": state.past,
        "verdict": state.verdict.past,
        "stream": state.positions,
        "optimizer": optimizer_state(state.optimizer),
        "scaler": state.scaler.state_dict(),
        "environment": environment(),
        "data": data,
        "facts": {**facts, "lr_scale": state.lr_scale, "skipped": state.skipped},
    }


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Writes what is in the memory of this machine; ValueError where `load` would refuse it."""
    if wrong := next(faults(content), None):
        raise ValueError(wrong)

    def fill(partial: Path) -> None:
        with partial.open("wb") as file:
            try:
                torch.save(dict(content), file)
            except RuntimeError as error:  # torch's words, where it had been the disk that spoke first
                raise (error.__context__ if isinstance(error.__context__, OSError) else error) from None
            file.flush()
            os.fsync(file.fileno())

    whole(path, fill)


def load(path: Path) -> dict[str, Any]:
    """Reads a checkpoint on the CPU, its `config` as a DictConfig; ValueError says in one line what is wrong with it."""
    if not path.is_file():
        raise ValueError(f"there is no checkpoint at {str(path)!r}")
    try:
        check_archive(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise ValueError(f"cannot read the checkpoint {str(path)!r}: it is damaged, or no checkpoint, or would run code") from error
    if not isinstance(content, dict) or type(content.get("format")) is not int or content["format"] < 1:
        raise ValueError(f"{str(path)!r} is not a checkpoint of ddpm-train")
    try:
        content = migrated(content)
    except ValueError as error:
        raise ValueError(f"the checkpoint {str(path)!r} {error}") from error
    if wrong := next(faults(content), None) or next(faults_of_moments(content["optimizer"]), None):
        raise ValueError(f"the checkpoint {path}: {wrong}")
    return {**content, "config": parsed(content["config"], str(path))}


def restore(state: TrainState, content: Mapping[str, Any], *, moments: bool = True, past: bool = True) -> None:
    """Puts what a loaded checkpoint remembers into `state`.

    Without `moments` the optimizer and the parameters of the loss start afresh, without `past` the sampler of times and the verdict do.
    """
    facts = content["facts"]
    load_network(state.denoiser.network, content["network"])
    load_network(state.average, content["ema"])
    if moments:
        load_network(state.extra, content["loss"])
        load_optimizer(state.optimizer, content["optimizer"])
    if past:
        state.recollect(content["history"])
    state.verdict = Verdict.recalled(content["verdict"] if past else {}, content["step"])
    state.position, state.positions = "", content["stream"]
    if content["scaler"]:
        state.scaler.load_state_dict(content["scaler"])
    state.step, state.lr_scale, state.skipped = content["step"], facts["lr_scale"], facts["skipped"]


@cache
def environment() -> dict[str, str]:
    """Versions, and the commit of the sources where they are a checkout, for whoever must do it again."""
    root = Path(__file__).resolve().parents[2]
    describe = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    git = subprocess.run(describe, capture_output=True, text=True, check=False).stdout.strip() if (root / ".git").exists() else ""
    versions = {name: version(name) for name in ("ddpm-cli", "torchvision", "datasets", "numpy")}
    return {"python": platform.python_version(), "machine": platform.platform(), "git": git, "torch": str(torch.__version__), **versions}
