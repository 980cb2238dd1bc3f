"""The faults for which a checkpoint is refused, both at reading and at writing."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

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
# what a value in a configuration may not hold: interpolation, control characters
FOREIGN = re.compile(r"\$\{|[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# more than any run has: pixels along a side, characters of a value, characters of a configuration
SIDE, WORD, TEXT = 4096, 3000, 2**17
RULES: dict[str, Callable[[Mapping[str, Any]], bool]] = {  # of fields and facts of the right types
    f"'step' and 'steps' must be at least 0 and less than {MAX_STEPS:,}": (
        lambda each: all(0 <= number < MAX_STEPS for number in (each["step"], each["steps"]))
    ),
    "'skipped' must be at least 0 and at most the step, {step}, but is {skipped}": (
        lambda each: 0 <= each["skipped"] <= each["step"]
    ),
    "'lr_scale' must be between 0 and 1": lambda each: 0 < each["lr_scale"] <= 1,
    f"'shape' must be three numbers, channels, height and width, of at most {SIDE}": (
        lambda each: [type(n) is int and 0 < n <= SIDE for n in each["shape"]] == [True] * 3
    ),
    "'classes' must be names": lambda each: all(type(name) is str for name in each["classes"]),
    "'environment' must hold names and texts": lambda each: all(
        type(name) is type(text) is str for name, text in each["environment"].items()
    ),
    "'stream' must hold a text for each process": lambda each: (
        len(each["stream"]) <= WORD
        and all(type(text) is str and len(text) <= TEXT for text in each["stream"])
    ),
    f"'scaler' must be empty or hold {', '.join(SCALER)}, each in its range": lambda each: (
        each["scaler"].keys() in ({}.keys(), SCALER.keys())
        and all(is_in_range(number, *SCALER[name]) for name, number in each["scaler"].items())
    ),
}


def faults(content: Mapping[str, Any]) -> Iterator[str]:
    """Yield the missing and the contradictory parts of a content, each in one line.

    If a part is missing, nothing more is checked.
    """
    for kinds, part in ((FIELDS, content), (FACTS, content.get("facts", {}))):
        for name, kind in kinds.items():
            value = part.get(name) if isinstance(part, dict) else None
            if not isinstance(value, kind) or isinstance(value, bool):
                yield f"{name!r} is missing or not what it should be"
                return
    fields = {name: content[name] for name in FIELDS}
    fields |= {name: content["facts"][name] for name in FACTS}
    for rule, holds in RULES.items():
        if not holds(fields):
            yield rule.format(**fields)
    for name in TENSORS:
        if not all(type(key) is str and is_dense(tensor) for key, tensor in content[name].items()):
            yield f"{name!r} must hold names and dense tensors"
        elif not all(map(is_finite, content[name].values())):
            yield f"the numbers in {name!r} are not finite"


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
        tokens = list(yaml.scan(text)) if len(text) <= TEXT else []
        words = [token.value for token in tokens if isinstance(token, yaml.ScalarToken)]
        plain = tokens and not any(isinstance(token, yaml.AliasToken) for token in tokens)
        plain = plain and not any(len(word) > WORD or FOREIGN.search(word) for word in words)
        cfg = OmegaConf.create(text) if plain else None
    except (OmegaConfBaseException, yaml.YAMLError, ValueError, LookupError, RecursionError):
        cfg = None
    if not isinstance(cfg, DictConfig):
        raise ValueError(
            f"the checkpoint {where}: its configuration is not plain text that can be read"
        )
    return cfg
