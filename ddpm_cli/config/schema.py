"""Options of the configuration, checked against the signatures of their targets."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.config.targets import ROOMS, SHARED, locate, suggestion, target_of
from ddpm_cli.config.types import fits, type_text
from ddpm_cli.config.values import to_plain

Options: TypeAlias = Mapping[str, inspect.Parameter]


def check_groups(cfg: DictConfig, *keys: str) -> None:
    """Check the options of nodes and of the nodes in them, before anything is called.

    Raises ValueError that names the first bad option, its value, and what is allowed.
    """
    for key in keys:
        node = OmegaConf.select(cfg, key)
        if not isinstance(node, DictConfig):
            raise ValueError(f"{key} must be given: a choice of the group, or a node with _target_")
        target = target_of(cfg, key)
        own, shared = options_of(target), options_of(locate(SHARED[key])) if key in SHARED else {}
        assert not own.keys() & shared.keys(), f"{key} declares an option twice"
        parts = inspect.signature(target).parameters
        nested = [name for name in parts if f"{key}.{name}" in ROOMS]
        check_groups(cfg, *(f"{key}.{name}" for name in nested))
        known = [*nested, "_target_"]
        check_values(node, f"{key}.", {**own, **shared}, known, f" of {node._target_}")


def check_values(
    node: DictConfig, prefix: str, allowed: Options, known: Sequence[str], owner: str = ""
) -> None:
    """Check names and types of a node's options."""
    for name in map(str, node):
        if name not in allowed and name not in known:
            near = suggestion(prefix + name, [*allowed, *known])
            raise ValueError(f"{prefix}{name} is not an option{owner}; {near}")
    for name, parameter in allowed.items():
        kind = parameter.annotation
        if name not in node or OmegaConf.is_missing(node, name):
            if parameter.default is parameter.empty:
                raise ValueError(f"{prefix}{name} must be given ({type_text(kind)})")
        elif not fits(value := to_plain(node[name]), kind):
            raise ValueError(f"{prefix}{name} must be {type_text(kind)}, but is {value!r}")


def options_of(target: Callable[..., Any]) -> Options:
    """What YAML may say of a target: its keyword-only parameters; of torch's, all but the first."""
    every = inspect.signature(target, eval_str=True).parameters
    if target.__module__.startswith("torch."):
        return dict(list(every.items())[1:])
    return {name: each for name, each in every.items() if each.kind is each.KEYWORD_ONLY}
