"""Options of the configuration, checked against the signatures of their targets."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, TypeAlias

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.config.targets import ROOMS, SHARED, locate, suggestion, target_of
from ddpm_cli.config.types import fits, type_text
from ddpm_cli.config.values import to_plain

Options: TypeAlias = Mapping[str, inspect.Parameter]


def check_config(cfg: DictConfig, groups: Sequence[str], *options: Callable[..., Any]) -> None:
    """Checks every option of every group, and the top level against those of `options` together, before anything is called.

    Raises ValueError that names the first bad option, its value, and what is allowed.
    """
    for key in groups:
        check_node(cfg, key)
    check_values(
        cfg, "", dict(chain.from_iterable(options_of(each).items() for each in options)), groups
    )


def check_node(cfg: DictConfig, key: str) -> None:
    """Checks one node and the nodes in it."""
    if not isinstance(OmegaConf.select(cfg, key), DictConfig):
        raise ValueError(f"{key} must be given: a choice of the group, or a node with _target_")
    node, target = OmegaConf.select(cfg, key), target_of(cfg, key)
    options, of_group = options_of(target), options_of(locate(SHARED[key])) if key in SHARED else {}
    assert not options.keys() & of_group.keys(), f"{key} declares an option twice"
    nested = [name for name in inspect.signature(target).parameters if f"{key}.{name}" in ROOMS]
    for name in nested:
        check_node(cfg, f"{key}.{name}")
    check_values(
        node, f"{key}.", {**options, **of_group}, [*nested, "_target_"], f" of {node._target_}"
    )


def check_values(
    node: DictConfig, prefix: str, allowed: Options, known: Sequence[str], owner: str = ""
) -> None:
    """Checks names and types of a node's options."""
    for name in map(str, node):
        if name not in allowed and name not in known:
            raise ValueError(
                f"{prefix}{name} is not an option{owner}; {suggestion(prefix + name, [*allowed, *known])}"
            )
    for name, parameter in allowed.items():
        if name not in node or OmegaConf.is_missing(node, name):
            if parameter.default is parameter.empty:
                raise ValueError(
                    f"{prefix}{name} must be given ({type_text(parameter.annotation)})"
                )
        elif not fits(to_plain(node[name]), parameter.annotation):
            raise ValueError(
                f"{prefix}{name} must be {type_text(parameter.annotation)}, but is {to_plain(node[name])!r}"
            )


def options_of(target: Callable[..., Any]) -> Options:
    """What YAML may say of a target: its keyword-only parameters; of a library's class, all but the first."""
    every = inspect.signature(target, eval_str=True).parameters
    if target.__module__.startswith("torch."):
        return dict(list(every.items())[1:])
    return {
        name: parameter
        for name, parameter in every.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
