"""The faults for which a checkpoint is refused, both at reading and at writing."""

from collections.abc import Iterator, Mapping
from typing import Any
from unicodedata import category

import torch
import yaml
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor

from ddpm_cli.seeds import MAX_STEPS

TENSORS = ("network", "ema", "loss", "history", "verdict")
DICTS = (*TENSORS, "optimizer", "scaler", "environment", "facts")
FIELDS = {"config": str, "step": int, "data": str, "stream": list} | dict.fromkeys(DICTS, dict)
FACTS = {"shape": list, "classes": list, "steps": int, "lr_scale": float, "skipped": int}
SCALER: dict[str, tuple[type, float, float]] = {  # the state of torch's GradScaler: type and range
    "scale": (float, 2.0**-126, 2.0**127),
    "growth_factor": (float, 1.0, 2.0**20),
    "backoff_factor": (float, 2.0**-20, 1.0),
    "growth_interval": (int, 1, 2**30),
    "_growth_tracker": (int, 0, 2**30),
}
# more than any run has: pixels along a side, characters of a value, characters of a configuration
SIDE, WORD, TEXT = 4096, 3000, 2**17


def faults(content: Mapping[str, Any]) -> Iterator[str]:
    """Yield the missing and the contradictory parts of a content, each in one line.

    If a part is missing, nothing more is checked.
    """
    for fields, part in ((FIELDS, content), (FACTS, content.get("facts", {}))):
        for name, kind in fields.items():
            value = part.get(name) if isinstance(part, dict) else None
            if not isinstance(value, kind) or isinstance(value, bool):
                yield f"{name!r} is missing or not what it should be"
                return
    yield from number_faults(content["step"], content["facts"])
    if not all(type(name) is type(text) is str for name, text in content["environment"].items()):
        yield "'environment' must hold names and texts"
    stream = content["stream"]
    if len(stream) > WORD or not all(type(text) is str and len(text) <= TEXT for text in stream):
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
    """Yield the facts that are impossible at a step."""
    shape, skipped = facts["shape"], facts["skipped"]
    if not all(0 <= number < MAX_STEPS for number in (step, facts["steps"])):
        yield f"'step' and 'steps' must be at least 0 and less than {MAX_STEPS:,}"
    if not 0 <= skipped <= step:
        yield f"'skipped' must be at least 0 and at most the step, {step}, but is {skipped}"
    if not 0 < facts["lr_scale"] <= 1:
        yield "'lr_scale' must be between 0 and 1"
    if len(shape) != 3 or not all(type(side) is int and 0 < side <= SIDE for side in shape):
        yield f"'shape' must be three numbers, channels, height and width, of at most {SIDE}"
    if not all(type(name) is str for name in facts["classes"]):
        yield "'classes' must be names"


def is_in_range(number: Any, kind: type, low: float, high: float) -> bool:
    """Whether a value is a number of this type in a range."""
    of_kind: bool = type(number) is kind
    return of_kind and low <= number <= high


def optimizer_faults(optimizer: Mapping[Any, Any]) -> Iterator[str]:
    """Yield the faults of an optimizer's state; `load_optimizer` compares names and shapes."""
    states = [state for state in optimizer.values() if isinstance(state, dict)]
    tensors = [tensor for state in states for tensor in state.values() if is_dense(tensor)]
    if not all(is_finite(tensor) for tensor in tensors if tensor.is_floating_point()):
        yield "the moments in 'optimizer' are not finite"
    elif any(tensor.ndim == 0 and tensor < 0 for tensor in tensors):
        yield "a count in 'optimizer' is negative"


def is_finite(tensor: Tensor) -> bool:
    """Whether all numbers are finite, in one fast pass, since each checkpoint waits for it."""
    return tensor.numel() == 0 or all(bool(bound.isfinite()) for bound in tensor.aminmax())


def is_dense(tensor: Any) -> bool:
    """Whether a value is a tensor that is safe for any kernel: contiguous, on the CPU."""
    if type(tensor) is not torch.Tensor or tensor.layout != torch.strided:
        return False
    return tensor.device.type == "cpu" and tensor.is_contiguous() and not tensor.requires_grad


def parse_config(text: str, where: str) -> DictConfig:
    """Parse a checkpoint's configuration: printable text without interpolation or aliases."""
    try:
        plain = len(text) <= TEXT and all(map(is_plain_token, yaml.scan(text)))
        cfg = OmegaConf.create(text) if plain else None
    except (OmegaConfBaseException, yaml.YAMLError, ValueError, LookupError, RecursionError):
        cfg = None
    if not isinstance(cfg, DictConfig):
        raise ValueError(
            f"the checkpoint {where}: its configuration is not plain text that can be read"
        )
    return cfg


def is_plain_token(token: yaml.Token) -> bool:
    """Whether a YAML token is no alias and holds no interpolation or control characters."""
    if isinstance(token, yaml.ScalarToken):
        printable = not any(category(each) in ("Cc", "Cs") for each in token.value)
        return printable and len(token.value) <= WORD and "${" not in token.value
    return not isinstance(token, yaml.AliasToken)
