"""The faults for which a checkpoint is refused, both at reading and at writing."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig
from torch import Tensor

from ddpm_cli.checkpoints.safetensors_file import DTYPES
from ddpm_cli.config.plain_text import plain_yaml
from ddpm_cli.seeds import MAX_STEPS, RANDOMNESS
from ddpm_cli.text import encodable_text

FIELDS: dict[str, type | tuple[type, ...]] = {
    **{"config": str, "fingerprint": str, "verdict": str},
    **{"step": int, "steps": int, "skipped": int, "lr_scale": float},
    **{"rules": int, "randomness": int},
    **{"shape": list, "classes": list, "stream": list},
    **{"environment": dict, "scaler": dict, "optimizer": dict, "cadences": dict},
    **{"init": dict, "origin": dict, "average": dict, "run": str},
    **{"overrides": (list, type(None)), "config_dir": (str, type(None))},
}
LATER_FIELDS: dict[str, Any] = {  # values in older files
    **{"cadences": {}, "init": {}, "origin": {}, "average": {}, "run": ""}
}
INIT = ("source", "step", "weights", "sha256", "tensors", "changes")
AVERAGE = ("length", "step", "snapshots")
ORIGIN = ("source", "licence", "file")
CADENCES = ("evaluate_every", "measure_every", "sample_every", "checkpoint_every")
SCALER: dict[str, tuple[type, float, float]] = {  # the state of torch's GradScaler: type and range
    "scale": (float, 2.0**-126, 2.0**127),
    "growth_factor": (float, 1.0, 2.0**20),
    "backoff_factor": (float, 2.0**-20, 1.0),
    "growth_interval": (int, 1, 2**30),
    "_growth_tracker": (int, 0, 2**30),
}
# what a value in a configuration may not hold: interpolation, control characters
FOREIGN = re.compile(r"\$\{|[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# more than any run has: pixels along a side; entries of a list; characters of a class's name, of a
# value, of a configuration, and of all texts in a list
SIDE, COUNT, NAME, WORD, TEXT, SUM = 4096, 2**16, 200, 3000, 2**17, 2**22
MOST_OVERRIDES = 500
REQUIREMENTS: dict[str, Callable[[Mapping[str, Any]], bool]] = {  # of fields of the right types
    f"its noise is of version {{randomness!s:.20}}, but this version knows 1 to {RANDOMNESS}: "
    "upgrade ddpm-cli": lambda each: 1 <= each["randomness"] <= RANDOMNESS,
    f"'step' and 'steps' must be at least 0 and less than {MAX_STEPS:,}, "
    "but are {step!s:.20} and {steps!s:.20}": (
        lambda each: all(0 <= number < MAX_STEPS for number in (each["step"], each["steps"]))
    ),
    "'skipped' must be at least 0 and at most the step, {step}, but is {skipped}": (
        lambda each: 0 <= each["skipped"] <= each["step"]
    ),
    "'lr_scale' must be between 0 and 1": lambda each: 0 < each["lr_scale"] <= 1,
    f"'shape' must be three numbers, channels, height and width, of at most {SIDE}": (
        lambda each: [type(n) is int and 0 < n <= SIDE for n in each["shape"]] == [True] * 3
    ),
    f"'classes' must be names of at most {NAME} characters": (
        lambda each: are_texts(each["classes"], NAME)
    ),
    "'environment' must hold names and texts": lambda each: are_texts(
        [*each["environment"], *each["environment"].values()], WORD
    ),
    f"'init' must hold {', '.join(INIT)}, each a text": lambda each: (
        all(name in INIT for name in each["init"]) and are_texts([*each["init"].values()], WORD)
    ),
    f"'origin' must hold {', '.join(ORIGIN)}, each of at most {NAME} characters": lambda each: (
        all(name in ORIGIN for name in each["origin"])
        and are_texts([*each["origin"].values()], NAME)
    ),
    f"'average' must hold {', '.join(AVERAGE)}, each of at most {NAME} characters": lambda each: (
        all(name in AVERAGE for name in each["average"])
        and are_texts([*each["average"].values()], NAME)
    ),
    "'stream' must hold a text for each process": lambda each: (
        len(each["stream"]) <= WORD and are_texts(each["stream"], TEXT)
    ),
    f"'overrides' must be at most {MOST_OVERRIDES} texts": lambda each: (
        len(each["overrides"] or []) <= MOST_OVERRIDES
        and are_texts(each["overrides"] or [], TEXT)
        and sum(map(len, each["overrides"] or [])) <= TEXT
    ),
    "'fingerprint', 'verdict', 'config_dir' and 'run' must be short": lambda each: all(
        len(each[name] or "") <= WORD for name in ("fingerprint", "verdict", "config_dir", "run")
    ),
    f"'cadences' must hold {', '.join(CADENCES)}, each from 1 to {MAX_STEPS:,}": lambda each: all(
        name in CADENCES and is_in_range(number, int, 1, MAX_STEPS)
        for name, number in each["cadences"].items()
    ),
    "'optimizer' must hold the state of parameters": lambda each: all(
        isinstance(entries, dict) for entries in each["optimizer"].values()
    ),
    f"'scaler' must be empty or hold {', '.join(SCALER)}, each in its range": lambda each: (
        each["scaler"].keys() in ({}.keys(), SCALER.keys())
        and all(is_in_range(number, *SCALER[name]) for name, number in each["scaler"].items())
    ),
}


def faults(fields: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Iterator[str]:
    """Yield the missing and the contradictory parts of a checkpoint, each in one line.

    If a field is missing, nothing more is checked.
    """
    for name, kind in FIELDS.items():
        value = fields.get(name, ...)
        if not isinstance(value, kind) or isinstance(value, bool):
            yield f"{name!r} is missing or not what it should be"
            return
    for rule, holds in REQUIREMENTS.items():
        if not holds(fields):
            yield rule.format(**fields)
    for name, tensor in tensors.items():
        part = name.partition(".")[0]
        if tensor.dtype not in DTYPES.values():
            yield f"{name!r} is of {tensor.dtype}, which no checkpoint holds"
        elif not is_finite(tensor):
            yield f"the numbers in {part!r} are not finite"
        elif part == "optimizer" and tensor.ndim == 0 and tensor < 0:
            yield "a count in 'optimizer' is negative"


def are_texts(values: Sequence[Any], longest: int) -> bool:
    """Whether a list holds texts that UTF-8 can write, not too many and none too long."""
    fitting = all(type(each) is str and len(each) <= longest for each in values)
    bounded = fitting and len(values) <= COUNT and sum(map(len, values)) <= SUM
    return bounded and all(encodable_text(each) == each for each in values)


def is_in_range(number: Any, kind: type, low: float, high: float) -> bool:
    """Whether a value is a number of this type in a range."""
    of_kind: bool = type(number) is kind
    return of_kind and low <= number <= high


def is_finite(tensor: Tensor) -> bool:
    """Whether all numbers are finite, in one fast pass, since each checkpoint waits for it."""
    if tensor.numel() == 0 or not tensor.is_floating_point():
        return True
    return all(bool(bound.isfinite()) for bound in tensor.aminmax())


def parse_config(text: str) -> DictConfig:
    """Parse a checkpoint's configuration: printable text without interpolation, tags or aliases."""
    try:
        cfg = plain_yaml(text, lambda word: len(word) <= WORD and not FOREIGN.search(word))
    except ValueError:
        cfg = None
    if not isinstance(cfg, DictConfig):
        raise ValueError("its configuration is not plain text that can be read")
    return cfg
