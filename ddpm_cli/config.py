"""From a node of the configuration to an object: check it against a signature, then call. Imports no torch.

A target's keyword-only parameters are its options. A node under the name of a positional parameter is checked with its
parent, left out of its parent's call, built first and handed over.
"""

import inspect
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from itertools import chain
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin

from omegaconf import DictConfig, OmegaConf

Options: TypeAlias = Mapping[str, inspect.Parameter]

ROOMS = {
    "model": "ddpm_cli.denoiser.",
    "model.network": "ddpm_cli.networks.",
    "schedule": "ddpm_cli.schedules.",
    "data": "ddpm_cli.data.",
    "loss": "ddpm_cli.losses.",
    "loss.of": "ddpm_cli.losses.",
    "train_times": "ddpm_cli.train_times.",
    "trainer": "ddpm_cli.training.",
    "trainer.optimizer": "torch.optim.",
    "sampler": "ddpm_cli.samplers.",
    "features": "ddpm_cli.metrics.",
}
ELSEWHERE = {
    "features": "ddpm-compare takes it, ddpm-eval takes metrics",
    "sampler": "ddpm-train, ddpm-sample and ddpm-eval take it, ddpm-compare takes samplers",
    "loss.of": "loss=uncertain takes it",
}
PLAIN = re.compile(r"[\w./:@%+-]+", re.ASCII)
SHARED = {"sampler": "ddpm_cli.samplers.Grid", "data": "ddpm_cli.data.Preparation", "schedule": "ddpm_cli.schedules.Ending"}


def config_dir() -> Path:
    """The folder of the YAML files: inside an installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def check(cfg: DictConfig, groups: Sequence[str], *options: Callable[..., Any]) -> None:
    """Checks every option of every group, and the top level against those of `options` together, before anything is called.

    Raises ValueError that names the first bad option, its value, and what is allowed.
    """
    for key in groups:
        check_node(cfg, key)
    check_values(cfg, "", dict(chain.from_iterable(options_of(each).items() for each in options)), groups)


def build(cfg: DictConfig, key: str, *args: Any) -> Any:
    """Calls the target of the node at `key` with `args` and the node's options; what it refuses or cannot do names the node."""
    try:
        return bind(cfg, key)(*args)
    except (ValueError, TypeError, RuntimeError, ArithmeticError, MemoryError) as error:
        raise error if str(error).startswith((f"{key}.", f"{key} ")) else ValueError(f"{key}: {error}") from error


def bind(cfg: DictConfig, key: str) -> partial[Any]:
    """The target of the node at `key` with the node's options, to be called later."""
    check_node(cfg, key)
    return bound(target_of(cfg, key), OmegaConf.select(cfg, key))


def shared(cfg: DictConfig, key: str) -> Any:
    """The options that all targets of a group share, as their dataclass."""
    return bound(locate(SHARED[key]), OmegaConf.select(cfg, key))()


def bound(target: Callable[..., Any], node: DictConfig) -> partial[Any]:
    """A target with those of a node's options that are its own, as plain Python values."""
    return partial(target, **{name: plain(node[name]) for name in options_of(target) if name in node})


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
    check_values(node, f"{key}.", {**options, **of_group}, [*nested, "_target_"], f" of {node._target_}")


def check_values(node: DictConfig, prefix: str, allowed: Options, known: Sequence[str], owner: str = "") -> None:
    """Checks names and types of a node's options."""
    for name in map(str, node):
        if name not in allowed and name not in known:
            raise ValueError(f"{prefix}{name} is not an option{owner}; {suggestion(prefix + name, [*allowed, *known])}")
    for name, parameter in allowed.items():
        if name not in node or OmegaConf.is_missing(node, name):
            if parameter.default is parameter.empty:
                raise ValueError(f"{prefix}{name} must be given ({wording(parameter.annotation)})")
        elif not fits(plain(node[name]), parameter.annotation):
            raise ValueError(f"{prefix}{name} must be {wording(parameter.annotation)}, but is {plain(node[name])!r}")


def suggestion(key: str, names: Sequence[str]) -> str:
    """What the user may have meant."""
    if key in ROOMS:
        return ELSEWHERE.get(key, "it comes with the checkpoint")
    near = get_close_matches(key.rpartition(".")[2], names, n=1)
    known = sorted(set(names) - {"_target_", "hydra"})
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"


def target_of(cfg: DictConfig, key: str) -> Callable[..., Any]:
    """The function or class that a node names, if it lives in the node's room or in a module trusted by `trust`."""
    node, room = OmegaConf.select(cfg, key), ROOMS[key]
    name = node.get("_target_") if isinstance(node, DictConfig) else None
    rooms = (room, *(f"{module}." for module in cfg.get("trust") or ()))
    found = locate(name) if isinstance(name, str) and name.startswith(rooms) else None
    if not callable(found) or not f"{getattr(found, '__module__', '')}.".startswith(rooms):
        advice = "a module of your own is trusted by trust=[MODULE] on the command line"
        raise ValueError(f"{key}._target_ must name a function or class of {room[:-1]}, but is {name!r} ({advice})")
    return found


def locate(name: str) -> Any:
    """The object of a dotted name; None where there is none."""
    module, _, attribute = name.rpartition(".")
    try:
        return getattr(import_module(module), attribute, None)
    except ModuleNotFoundError as error:
        if not f"{module}.".startswith(f"{error.name}."):
            raise
        return None


def options_of(target: Callable[..., Any]) -> Options:
    """What YAML may say of a target: its keyword-only parameters; of a library's class, all but the first."""
    every = inspect.signature(target, eval_str=True).parameters
    if target.__module__.startswith("torch."):
        return dict(list(every.items())[1:])
    return {name: parameter for name, parameter in every.items() if parameter.kind is parameter.KEYWORD_ONLY}


def at_least(options: object, **lowest: int) -> None:
    """Refuses options that are numbers and below their lowest."""
    for name, low in lowest.items():
        if isinstance(number := getattr(options, name), int | float) and number < low:
            raise ValueError(f"{name} must be at least {low}, but is {number}")


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
        return isinstance(value, (int, kind)) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, kind)


def wording(kind: Any) -> str:
    """A type in the user's words."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return ("one of " if len(args) > 1 else "") + ", ".join(map(str, args))
    if origin in (Union, UnionType):
        return " or ".join(wording(each) for each in args if not str(each).startswith("<class 'torch."))
    if origin in (list, tuple, Sequence):
        return f"a list of {len(args) if origin is tuple else ''} {wording(args[0])}".replace("  ", " ")
    return "null" if kind is NoneType else getattr(kind, "__name__", str(kind))


def differences(old: Any, new: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(key, old value, new value) of every option in which two plain configurations differ."""
    for name in {**old, **new}:
        before, after, key = old.get(name), new.get(name), f"{prefix}{name}"
        if isinstance(before, dict) and isinstance(after, dict):
            yield from differences(before, after, f"{key}.")
        elif before != after:
            yield key, before, after


def located(name: str, path: Path) -> str:
    """The override that names a path, quoted where Hydra's grammar would read it otherwise: at =, commas, letters beyond ASCII."""
    return f"{name}={path if PLAIN.fullmatch(str(path)) else quoted(str(path))}"


def quoted(text: str) -> str:
    """A text between quotes; a backslash speaks for itself but before a quote."""
    return "'" + re.sub(r"(\\*)('|$)", lambda found: 2 * found[1] + ("\\'" if found[2] else ""), text) + "'"
