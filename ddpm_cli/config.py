"""From a node of the configuration to an object: check it against a signature, then call. Imports no torch.

A target's keyword-only parameters are its options. A node under the name of a positional parameter is checked with its
parent, left out of its parent's call, built first and handed over.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from omegaconf import DictConfig, OmegaConf

ROOMS = {
    "model": "ddpm_cli.denoiser.",
    "model.network": "ddpm_cli.networks.",
    "schedule": "ddpm_cli.schedules.",
    "data": "ddpm_cli.data.",
    "loss": "ddpm_cli.losses.",
    "trainer": "ddpm_cli.training.",
    "trainer.optimizer": "torch.optim.",
    "sampler": "ddpm_cli.samplers.",
}
SHARED = {"sampler": "ddpm_cli.samplers.Grid", "data": "ddpm_cli.data.Preparation"}


def config_dir() -> Path:
    """The folder of the YAML files: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def check(cfg: DictConfig, options: Callable[..., Any], groups: Sequence[str]) -> None:
    """Checks every option of every group, and the top level against `options`, before anything is called.

    Raises ValueError that names the first bad option, its value, and what is allowed.
    """
    for key in groups:
        check_node(cfg, key)
    check_values(cfg, "", parameters(options), groups)


def build(cfg: DictConfig, key: str, *args: Any) -> Any:
    """Calls the target of the node at `key` with `args` and the node's options; its ValueErrors name the node."""
    bound = bind(cfg, key)
    try:
        return bound(*args)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error


def bind(cfg: DictConfig, key: str) -> partial[Any]:
    """The target of the node at `key` with the node's options, to be called later."""
    check_node(cfg, key)
    node, target = OmegaConf.select(cfg, key), target_of(cfg, key)
    return partial(target, **values(node, option_parameters(target)))


def shared(cfg: DictConfig, key: str) -> Any:
    """The options that all targets of a group share, as their dataclass."""
    return filled(locate(SHARED[key]), OmegaConf.select(cfg, key))


def filled(recipe: Callable[..., Any], node: DictConfig) -> Any:
    """A recipe of options with those of a node that are its own."""
    return recipe(**values(node, option_parameters(recipe)))


def check_node(cfg: DictConfig, key: str) -> None:
    """Checks one node and the nodes in it."""
    node, target = OmegaConf.select(cfg, key), target_of(cfg, key)
    allowed = dict(option_parameters(target))
    if key in SHARED:
        of_group = option_parameters(locate(SHARED[key]))
        assert not allowed.keys() & of_group.keys(), f"{key} declares an option twice"
        allowed |= of_group
    nested = [name for name in parameters(target) if f"{key}.{name}" in ROOMS]
    for name in nested:
        check_node(cfg, f"{key}.{name}")
    check_values(node, f"{key}.", allowed, [*nested, "_target_"], getattr(node, "_target_", ""))


def check_values(node: DictConfig, prefix: str, allowed: Mapping[str, inspect.Parameter], known: Sequence[str], owner: str = "") -> None:
    """Checks names and types of a node's options."""
    for name in node:
        if name not in allowed and name not in known:
            raise ValueError(
                f"{prefix}{name} is not an option{f' of {owner}' if owner else ''}; {suggestion(str(name), [*allowed, *known])}"
            )
    for name, parameter in allowed.items():
        if name not in node or OmegaConf.is_missing(node, name):
            if parameter.default is inspect.Parameter.empty:
                raise ValueError(f"{prefix}{name} must be given ({wording(parameter.annotation)})")
        elif not fits(plain(node[name]), parameter.annotation):
            raise ValueError(f"{prefix}{name} must be {wording(parameter.annotation)}, but is {plain(node[name])!r}")


def suggestion(name: str, names: Sequence[str]) -> str:
    """What the user may have meant."""
    near = get_close_matches(name, names, n=1)
    known = sorted(set(names) - {"_target_", "hydra"})
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"


def target_of(cfg: DictConfig, key: str) -> Callable[..., Any]:
    """The function or class that a node names, if it lives in the node's room or in a module trusted by `trust`."""
    node = OmegaConf.select(cfg, key)
    name = node.get("_target_") if isinstance(node, DictConfig) else None
    if not isinstance(name, str):
        raise ValueError(f"{key} must have a _target_ in {ROOMS[key][:-1]}, but is {plain(node)!r}")
    trusted = tuple(f"{module}." for module in cfg.get("trust") or ())
    if not name.startswith((ROOMS[key], *trusted)):
        raise ValueError(
            f"{key}._target_ must lie in {ROOMS[key][:-1]}, but is {name!r} (a module of your own is trusted by trust=[MODULE] on the command line)"
        )
    found = locate(name)
    if not callable(found) or not f"{getattr(found, '__module__', '')}.".startswith((ROOMS[key], *trusted)):
        raise ValueError(f"{key}._target_ must name a function or class of {ROOMS[key][:-1]}, but is {name!r}")
    return found


def locate(name: str) -> Any:
    """The object of a dotted name; None where there is none."""
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(import_module(module), attribute, None)
    except ModuleNotFoundError as error:
        if error.name and not f"{module}.".startswith(f"{error.name}."):
            raise
        return None


def parameters(target: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """The parameters of a target, their annotations evaluated."""
    return inspect.signature(target, eval_str=True).parameters


def option_parameters(target: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """What YAML may say of a target: its keyword-only parameters; of a library's class, all but the first."""
    every = parameters(target)
    if target.__module__.startswith("torch."):
        return dict(list(every.items())[1:])
    return {name: parameter for name, parameter in every.items() if parameter.kind is parameter.KEYWORD_ONLY}


def values(node: DictConfig, names: Mapping[str, Any]) -> dict[str, Any]:
    """The node's options among `names`, as plain Python values."""
    return {str(name): plain(node[name]) for name in node if name in names}


def plain(value: Any) -> Any:
    """Lists and dicts instead of OmegaConf's."""
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def fits(value: Any, kind: Any) -> bool:
    """Whether a value is of an annotated type; an int is a float, a bool is no int."""
    origin, args = get_origin(kind), get_args(kind)
    if kind in (Any, inspect.Parameter.empty):
        return True
    if origin is Literal:
        return value in args and not isinstance(value, bool)
    if origin in (Union, UnionType):
        return any(fits(value, each) for each in args)
    if origin is tuple and args[-1] is not Ellipsis:
        return isinstance(value, list) and len(value) == len(args) and all(map(fits, value, args))
    if origin in (list, tuple, Sequence):
        return isinstance(value, list) and all(fits(each, args[0]) for each in value)
    if kind in (int, float):
        return isinstance(value, (int, kind)) and not isinstance(value, bool)
    return isinstance(value, kind)


def wording(kind: Any) -> str:
    """A type in the user's words."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return ("one of " if len(args) > 1 else "") + ", ".join(map(str, args))
    if origin in (Union, UnionType):
        return " or ".join(wording(each) for each in args)
    if origin in (list, tuple, Sequence):
        return f"a list of {wording(args[0])}"
    return "null" if kind is NoneType else getattr(kind, "__name__", str(kind))


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(key, old value, new value) of every option in which two plain configurations differ."""
    for name in [*old, *(name for name in new if name not in old)]:
        before, after, key = old.get(name), new.get(name), f"{prefix}{name}"
        if isinstance(before, dict) and isinstance(after, dict):
            yield from differences(before, after, f"{key}.")
        elif before != after:
            yield key, before, after
