"""A checkpoint is one file that says all about its run, is written whole or not at all, and runs no code when it is read."""

import os
import pickle
import pickletools
import platform
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unicodedata import category

import torch
import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ddpm_cli.images import whole
from ddpm_cli.parallel import load_network, load_optimizer, network_state, optimizer_state
from ddpm_cli.training import LONGEST, TrainState

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
    AssertionError,
    MemoryError,
)
FIELDS = {"config": str, "step": int, "data": str} | dict.fromkeys(("network", "ema", "optimizer", "environment", "facts"), dict)
FACTS = {"shape": list, "classes": list, "steps": int}
SIDE, TEXT = 4096, 2**16  # more than any run has: pixels along a side, characters of configuration
NAMES = "step_" + "[0-9]" * 8 + ".pt"
STORAGES = [f"torch {kind}Storage" for kind in ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")]
WRITTEN = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2", *STORAGES}  # the names that `save` pickles


def save(path: Path, state: TrainState, cfg: DictConfig, *, data: str, facts: Mapping[str, Any]) -> None:
    """Writes the state of a run; `data` is the fingerprint of its images, `facts` what it found out.

    facts: shape [C, H, W] of the images, names of the classes, steps of the whole run, lr_scale.
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


def keep(
    folder: Path, state: TrainState, cfg: DictConfig, *, data: str, facts: Mapping[str, Any], last: int, every: int | None = None
) -> Path:
    """Saves `step_*.pt` in `folder`, links `last.pt` to it, and drops all but the `last` newest and those of every `every` steps."""
    for left in folder.glob(".partial-*"):  # by a process that was killed while it wrote
        left.unlink()
    path = folder / f"step_{state.step:08d}.pt"
    save(path, state, cfg, data=data, facts=facts)
    whole(folder / "last.pt", lambda partial: os.link(path, partial))
    there = sorted(folder.glob(NAMES))
    undone = [other for other in there if other.name > path.name]  # damaged, or of steps that were gone back from
    for other in undone:
        other.unlink()
    for old in [other for other in there if other not in undone][:-last]:
        if every is None or int(old.stem.removeprefix("step_")) % every:
            old.unlink()
    return path


def load(path: Path) -> dict[str, Any]:
    """Reads a checkpoint on the CPU, its `config` as a DictConfig; ValueError says in one line what is wrong with it."""
    if not path.is_file():
        raise ValueError(f"there is no checkpoint at {str(path)!r}")
    try:
        check_archive(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise ValueError(f"cannot read the checkpoint {str(path)!r}: it is damaged, or no checkpoint, or would run code") from error
    if not isinstance(content, dict) or type(content.get("format")) is not int:
        raise ValueError(f"{str(path)!r} is not a checkpoint of ddpm-train")
    if content["format"] != FORMAT:
        raise ValueError(f"the checkpoint {str(path)!r} has format {content['format']}; this version reads format {FORMAT}")
    if wrong := next(faults(content), None):
        raise ValueError(f"the checkpoint {path}: {wrong}")
    return {**content, "config": parsed(content["config"], str(path))}


def check_archive(path: Path) -> None:
    """Refuses a file that is no archive as torch writes it: nothing compressed, sums of all members right, no foreign name pickled."""
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        stored = all(each.compress_type == zipfile.ZIP_STORED for each in members) and len(set(archive.namelist())) == len(members)
        if not stored or sum(each.file_size for each in members) > path.stat().st_size or archive.testzip():
            raise zipfile.BadZipFile("compressed, repeated or damaged members")
        pickled = [archive.read(name) for name in archive.namelist() if name.endswith("/data.pkl")]
        opcodes = [opcode for each in pickled for opcode in pickletools.genops(each)]
    named = {argument for opcode, argument, _ in opcodes if opcode.name == "GLOBAL"}
    if not named <= WRITTEN or any(opcode.name == "STACK_GLOBAL" for opcode, _, _ in opcodes):
        raise pickle.UnpicklingError(f"names of others: {named}")


def faults(content: Mapping[str, Any]) -> Iterator[str]:
    """What is missing in a checkpoint or contradicts itself; ends with the first line where a part is missing."""
    for fields, where in ((FIELDS, content), (FACTS, content.get("facts", {}))):
        for name, kind in fields.items():
            if not isinstance(where, dict) or not isinstance(where.get(name), kind) or isinstance(where[name], bool):
                yield f"{name!r} is missing or not what it should be"
                return
    facts = content["facts"]
    if not all(0 <= number < LONGEST for number in (content["step"], facts["steps"])):
        yield f"'step' and 'steps' must be at least 0 and less than {LONGEST:,}"
    if not (type(scale := facts.get("lr_scale", 1.0)) is float and 0 < scale <= 1):
        yield "'lr_scale' must be between 0 and 1"
    if not (len(facts["shape"]) == 3 and all(type(side) is int and 0 < side <= SIDE for side in facts["shape"])):
        yield f"'shape' must be three numbers, channels, height and width, of at most {SIDE}"
    if not all(type(name) is str for name in facts["classes"]):
        yield "'classes' must be names"
    for name in ("network", "ema"):
        if not all(type(key) is str and dense(tensor) for key, tensor in content[name].items()):
            yield f"{name!r} must hold names and dense tensors of finite numbers"


def dense(tensor: Any) -> bool:
    """Whether it is a tensor that may be handed to any kernel: contiguous, on the CPU, finite."""
    plain = type(tensor) is torch.Tensor and tensor.layout == torch.strided and tensor.device.type == "cpu"
    return bool(plain and tensor.is_contiguous() and tensor.isfinite().all())


def parsed(text: str, where: str) -> DictConfig:
    """The configuration in a checkpoint: plain printable text, never interpolated and without aliases."""
    try:
        cfg = OmegaConf.create(text) if len(text) <= TEXT and all(map(plain_token, yaml.scan(text))) else None
    except (OmegaConfBaseException, yaml.YAMLError, ValueError, LookupError, RecursionError):
        cfg = None
    if not isinstance(cfg, DictConfig):
        raise ValueError(f"the checkpoint {where}: its configuration is not plain text that can be read")
    return cfg


def plain_token(token: yaml.Token) -> bool:
    """Whether a token of YAML says what it says: no alias, and as a value without control characters and not to be interpolated."""
    if isinstance(token, yaml.ScalarToken):
        return "${" not in token.value and not any(category(each) in ("Cc", "Cs") for each in token.value)
    return not isinstance(token, yaml.AliasToken)


def restore(state: TrainState, content: Mapping[str, Any]) -> None:
    """Puts the network, the average, the optimizer and the step of a loaded checkpoint into `state`."""
    load_network(state.denoiser.network, content["network"])
    load_network(state.average, content["ema"])
    load_optimizer(state.optimizer, content["optimizer"])
    state.step = content["step"]
    state.lr_scale = content["facts"].get("lr_scale", 1.0)


def newest_first(folder: Path) -> list[Path]:
    """The checkpoints in a run's folder, that of the most steps first."""
    return sorted((folder / "checkpoints").glob(NAMES), reverse=True)


def environment() -> dict[str, str]:
    """Versions, and the commit of the sources where they are a checkout, for whoever must do it again."""
    root = Path(__file__).resolve().parent.parent
    describe = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    git = subprocess.run(describe, capture_output=True, text=True, check=False).stdout.strip() if (root / ".git").exists() else ""
    versions = {name: version(name) for name in ("ddpm-cli", "torchvision", "datasets", "numpy")}
    return {"python": platform.python_version(), "machine": platform.platform(), "git": git, "torch": str(torch.__version__), **versions}
