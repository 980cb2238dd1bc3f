"""One checkpoint: everything that resuming, sampling and judging a run need."""

import platform
import subprocess
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from shutil import which
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from safetensors import SafetensorError
from torch import Tensor

from ddpm_cli.checkpoint_paths import existing_file
from ddpm_cli.checkpoints.faults import AVERAGE, FIELDS, LATER_FIELDS, faults, parse_config
from ddpm_cli.checkpoints.old_formats import is_old_file, read_old_file
from ddpm_cli.checkpoints.safetensors_file import DamagedError, read_file, write_file
from ddpm_cli.checkpoints.tensor_names import PARTS, join_optimizer, tensors_of
from ddpm_cli.console import fact
from ddpm_cli.hub.address import path_text
from ddpm_cli.seeds import RANDOMNESS
from ddpm_cli.versions import package_version

WEIGHTS = {"ema": "ema", "raw": "network"}  # the part that holds them


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint.

    config: the recipe. fingerprint: of the training images. rules: the version of the rules that
    prepare images, 1 so far. randomness: the version of the run's noise, 1 or 2.
    shape: [C, H, W] of an image. classes: names of the classes.
    step: the steps done. steps: the length of the run. skipped: the steps without finite numbers.
    lr_scale: factor of the LR after a roll-back.
    tensors: by name, of the parts that were read; they map the file until they are used.
    optimizer: its state apart from tensors. scaler: state of fp16's scaler, else empty.
    verdict: how the run learned, in words. stream: the position of each process in a stream.
    overrides: the overrides as typed; None if unknown. config_dir: the user's own folder of YAML
    files; None if there is none.
    cadences: the steps between actions of the run, by the options' names; {} if unknown.
    init: the checkpoint that the run started from, by fact; {} for weights that were drawn.
    origin: of weights of another program, their source, licence and file; {} for our own.
    average: of a reconstructed EMA, its length, its step and its snapshots; {} for others.
    run: the identity of the run, which its snapshots of EMAs share; "" if unknown.
    environment: versions by package. path: the file that was read.
    """

    config: DictConfig
    fingerprint: str
    shape: list[int]
    classes: list[str]
    step: int
    steps: int
    tensors: Mapping[str, Tensor]
    skipped: int = 0
    lr_scale: float = 1.0
    rules: int = 1
    randomness: int = RANDOMNESS
    optimizer: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    scaler: dict[str, Any] = field(default_factory=dict)
    verdict: str = ""
    stream: list[str] = field(default_factory=list)
    overrides: list[str] | None = None
    config_dir: str | None = None
    cadences: dict[str, int] = field(default_factory=dict)
    init: dict[str, str] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)
    run: str = ""
    average: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    path: Path = Path()

    @classmethod
    def load(cls, path: Path, parts: Collection[str] = PARTS) -> "Checkpoint":
        """Read a checkpoint with some parts of its tensors, which are verified.

        Raises ValueError with the file's fault in one line.
        """
        named, path = path, existing_file(path)
        if path != named:
            fact("checkpoint", f"{named} stands for {path}")
        try:
            fields, tensors = read_old_file(path) if is_old_file(path) else read_file(path, parts)
            fields = {**LATER_FIELDS, **fields}
            if fault := next(faults(fields, tensors), None):
                raise ValueError(fault)
            config = parse_config(fields["config"])
        except OSError as error:
            why = error.strerror or error
            raise ValueError(f"cannot read the checkpoint {str(path)!r}: {why}") from error
        except (DamagedError, SafetensorError, RuntimeError) as error:
            damaged = "it is damaged, or no checkpoint, or would run code"
            why = f" ({error})" if isinstance(error, DamagedError) else ""
            raise ValueError(f"cannot read the checkpoint {str(path)!r}: {damaged}{why}") from error
        except ValueError as error:
            raise ValueError(f"the checkpoint {str(path)!r}: {error}") from error
        known = {name: fields[name] for name in FIELDS}
        return cls(**{**known, "config": config}, tensors=tensors, path=path)

    @property
    def noise_text(self) -> str:
        """The version of the run's noise in words; "" if a seed still draws the same noise."""
        old = f"noise of version {self.randomness} (a seed draws other noise now)"
        return "" if self.randomness == RANDOMNESS else old

    @property
    def step_text(self) -> str:
        """The step in words, with noise of an old version."""
        return ", ".join(filter(None, [f"step {self.step:,}", self.noise_text]))

    @property
    def source(self) -> str:
        """The file in words; for a model of the hub, its address with the commit."""
        return path_text(self.path)

    @property
    def average_text(self) -> str:
        """The reconstructed EMA in words; "" without one."""
        if not self.average:
            return ""
        length, step, made = (self.average.get(name, "") for name in AVERAGE)
        return f"EMA of length {length} at step {step}, of {made}"

    def weights_text(self, kind: str) -> str:
        """A kind of weights, `ema` or `raw`, with the length of a reconstructed EMA."""
        length = self.average.get("length", "") if kind == "ema" else ""
        return f"{kind} of length {length}" if length else kind

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors of a part, by their own names. The part must have been read."""
        return tensors_of(name, self.tensors)

    def optimizer_state(self) -> dict[str, dict[str, Any]]:
        """The optimizer's state by parameter."""
        return join_optimizer(self.tensors, self.optimizer)


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint with tensors in CPU memory. Raises ValueError for bad content."""
    write_file(path, checked_fields(checkpoint), checkpoint.tensors)


def checked_fields(checkpoint: Checkpoint) -> dict[str, Any]:
    """The fields of a checkpoint's header. Raises ValueError for what no file may hold."""
    config = OmegaConf.to_yaml(checkpoint.config, resolve=True)
    fields = {**{name: getattr(checkpoint, name) for name in FIELDS}, "config": config}
    if fault := next(faults(fields, checkpoint.tensors), None):
        raise ValueError(fault)
    return fields


@cache
def environment() -> dict[str, str]:
    """Versions by package, and the commit of the sources if they are a checkout."""
    root = Path(__file__).resolve().parents[2]
    describe = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    git = (
        subprocess.run(describe, capture_output=True, text=True, check=False).stdout.strip()
        if (root / ".git").exists() and which("git")
        else ""
    )
    packages = ("ddpm-cli", "torchvision", "datasets", "numpy")
    versions = {name: package_version(name) for name in packages}
    return {
        "python": platform.python_version(),
        "machine": platform.platform(),
        "git": git,
        "torch": str(torch.__version__),
        **versions,
    }
