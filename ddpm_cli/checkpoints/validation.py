"""What is refused in a checkpoint, when it is read as well as when it is written."""

from collections.abc import Iterator, Mapping
from typing import Any
from unicodedata import category

import torch
import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor

from ddpm_cli.seeds import LONGEST

TENSORS = ("network", "ema", "loss", "history", "verdict")
DICTS = (*TENSORS, "optimizer", "scaler", "environment", "facts")
FIELDS = {"config": str, "step": int, "data": str, "stream": list} | dict.fromkeys(DICTS, dict)
FACTS = {"shape": list, "classes": list, "steps": int, "lr_scale": float, "skipped": int}
SCALER: dict[str, tuple[type, float, float]] = {  # what torch's scaler of fp16 remembers
    "scale": (float, 2.0**-126, 2.0**127),
    "growth_factor": (float, 1.0, 2.0**20),
    "backoff_factor": (float, 2.0**-20, 1.0),
    "growth_interval": (int, 1, 2**30),
    "_growth_tracker": (int, 0, 2**30),
}
SIDE, WORD, TEXT = (
    4096,
    3000,
    2**17,
)  # more than any run has: pixels along a side, characters of a value, of a configuration


def faults(content: Mapping[str, Any]) -> Iterator[str]:
    """What is missing in a checkpoint or contradicts itself; ends with the first line where a part is missing."""
    for fields, where in ((FIELDS, content), (FACTS, content.get("facts", {}))):
        for name, kind in fields.items():
            if (
                not isinstance(where, dict)
                or not isinstance(where.get(name), kind)
                or isinstance(where[name], bool)
            ):
                yield f"{name!r} is missing or not what it should be"
                return
    yield from number_faults(content["step"], content["facts"])
    if not all(
        type(name) is str and type(text) is str for name, text in content["environment"].items()
    ):
        yield "'environment' must hold names and texts"
    if len(content["stream"]) > WORD or not all(
        type(text) is str and len(text) <= TEXT for text in content["stream"]
    ):
        yield "'stream' must hold a text for each process"
    scaler = content["scaler"]
    if scaler and not (
        scaler.keys() == SCALER.keys()
        and all(is_in_range(scaler[name], *SCALER[name]) for name in SCALER)
    ):
        yield f"'scaler' must be empty or hold {', '.join(SCALER)}, each in its range"
    for name in TENSORS:
        if not all(type(key) is str and is_dense(tensor) for key, tensor in content[name].items()):
            yield f"{name!r} must hold names and dense tensors"
        elif not all(map(is_finite, content[name].values())):
            yield f"the numbers in {name!r} are not finite"


def number_faults(step: int, facts: Mapping[str, Any]) -> Iterator[str]:
    """What cannot be among the things that a run found out by its step."""
    if not all(0 <= number < LONGEST for number in (step, facts["steps"])):
        yield f"'step' and 'steps' must be at least 0 and less than {LONGEST:,}"
    if not 0 <= facts["skipped"] <= step:
        yield f"'skipped' must be at least 0 and at most the step, {step}, but is {facts['skipped']}"
    if not 0 < facts["lr_scale"] <= 1:
        yield "'lr_scale' must be between 0 and 1"
    if not (
        len(facts["shape"]) == 3
        and all(type(side) is int and 0 < side <= SIDE for side in facts["shape"])
    ):
        yield f"'shape' must be three numbers, channels, height and width, of at most {SIDE}"
    if not all(type(name) is str for name in facts["classes"]):
        yield "'classes' must be names"


def is_in_range(number: Any, kind: type, low: float, high: float) -> bool:
    """Whether it is a number of a kind, and in a range."""
    right: bool = type(number) is kind
    return right and low <= number <= high


def optimizer_faults(optimizer: Mapping[Any, Any]) -> Iterator[str]:
    """What an optimizer cannot have come to remember; its names and shapes are compared where it is put back."""
    tensors = [
        each
        for kept in optimizer.values()
        if isinstance(kept, dict)
        for each in kept.values()
        if is_dense(each)
    ]
    if not all(is_finite(each) for each in tensors if each.is_floating_point()):
        yield "the moments in 'optimizer' are not finite"
    elif any(each.ndim == 0 and each < 0 for each in tensors):
        yield "a count in 'optimizer' is negative"


def is_finite(tensor: Tensor) -> bool:
    """Whether all its numbers are finite, found in one pass: every checkpoint that is written beside training is looked through."""
    return tensor.numel() == 0 or all(bool(bound.isfinite()) for bound in tensor.aminmax())


def is_dense(tensor: Any) -> bool:
    """Whether it is a tensor that may be handed to any kernel: contiguous, on the CPU."""
    plain = (
        type(tensor) is torch.Tensor
        and tensor.layout == torch.strided
        and tensor.device.type == "cpu"
    )
    return bool(plain and tensor.is_contiguous() and not tensor.requires_grad)


def parse_config(text: str, where: str) -> DictConfig:
    """The configuration in a checkpoint: plain printable text, never interpolated and without aliases."""
    try:
        cfg = (
            OmegaConf.create(text)
            if len(text) <= TEXT and all(map(is_plain_token, yaml.scan(text)))
            else None
        )
    except (OmegaConfBaseException, yaml.YAMLError, ValueError, LookupError, RecursionError):
        cfg = None
    if not isinstance(cfg, DictConfig):
        raise ValueError(
            f"the checkpoint {where}: its configuration is not plain text that can be read"
        )
    return cfg


def is_plain_token(token: yaml.Token) -> bool:
    """Whether a token of YAML says what it says: no alias, and as a value without control characters and not to be interpolated."""
    if isinstance(token, yaml.ScalarToken):
        return (
            len(token.value) <= WORD
            and "${" not in token.value
            and not any(category(each) in ("Cc", "Cs") for each in token.value)
        )
    return not isinstance(token, yaml.AliasToken)
