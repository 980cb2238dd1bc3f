"""One checkpoint: a file that is written whole, and is read without running code."""

import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import Tensor

from ddpm_cli.checkpoints.faults import FACTS, FIELDS, faults, optimizer_faults, parse_config
from ddpm_cli.checkpoints.formats import UNREADABLE, check_archive, to_newest_format
from ddpm_cli.files import write_atomically


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint, with its tensors on the CPU.

    config: the recipe. fingerprint: of the training images. shape: [C, H, W] of an image.
    classes: names of the classes. step: the steps done. steps: the length of the run.
    skipped: the steps without finite numbers. lr_scale: factor of the LR after a roll-back.
    network, ema, loss: parameters and buffers. history: losses that the sampler of times uses.
    optimizer: its state by the number of the parameter. scaler: state of fp16's scaler, else empty.
    stream: the position of each process in a stream. environment: versions by package.
    """

    path: Path
    config: DictConfig
    fingerprint: str
    step: int
    network: dict[str, Tensor]
    ema: dict[str, Tensor]
    loss: dict[str, Tensor]
    history: dict[str, Tensor]
    verdict: dict[str, Tensor]
    optimizer: dict[int, Any]
    scaler: dict[str, Any]
    stream: list[str]
    environment: dict[str, str]
    shape: list[int]
    classes: list[str]
    steps: int
    lr_scale: float
    skipped: int

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Read a checkpoint. Raises ValueError with the file's fault in one line."""
        if path.is_dir():
            raise ValueError(
                f"{str(path)!r} is a folder, not a checkpoint: name a file in it, "
                "in the folder of a run checkpoints/last.pt"
            )
        if not path.is_file():
            raise ValueError(f"there is no checkpoint at {str(path)!r}")
        if not path.stat().st_size:
            raise ValueError(f"the checkpoint {str(path)!r} is empty: the file has 0 bytes")
        try:
            check_archive(path)
            content = torch.load(path, map_location="cpu", weights_only=True)
        except UNREADABLE as error:
            raise ValueError(
                f"cannot read the checkpoint {str(path)!r}: "
                "it is damaged, or no checkpoint, or would run code"
            ) from error
        number = content.get("format") if isinstance(content, dict) else None
        if type(number) is not int or number < 1:
            raise ValueError(f"{str(path)!r} is not a checkpoint of ddpm-train")
        try:
            content = to_newest_format(content)
        except ValueError as error:
            raise ValueError(f"the checkpoint {str(path)!r} {error}") from error
        wrong = next(faults(content), None) or next(optimizer_faults(content["optimizer"]), None)
        if wrong:
            raise ValueError(f"the checkpoint {path}: {wrong}")
        return cls.from_content(content, path, parse_config(content["config"], str(path)))

    @classmethod
    def from_content(
        cls, content: Mapping[str, Any], path: Path, config: DictConfig
    ) -> "Checkpoint":
        """The checkpoint of a content in the file's layout. config: the parsed configuration."""
        fields = {name: content[name] for name in FIELDS if name not in ("config", "data", "facts")}
        facts = {name: content["facts"][name] for name in FACTS}
        return cls(path, config, content["data"], **fields, **facts)


def write_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Write a content in the file's layout from CPU memory. Raises ValueError for bad content."""
    if wrong := next(faults(content), None):
        raise ValueError(wrong)

    def fill(partial: Path) -> None:
        with partial.open("wb") as file:
            try:
                torch.save(dict(content), file)
            except RuntimeError as error:  # torch's message hides the error of the disk
                raise (
                    error.__context__ if isinstance(error.__context__, OSError) else error
                ) from None
            file.flush()
            os.fsync(file.fileno())

    write_atomically(path, fill)


@cache
def environment() -> dict[str, str]:
    """Versions by package, and the commit of the sources if they are a checkout."""
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
