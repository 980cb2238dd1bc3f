"""Options of the configuration: checked against signatures of their targets, and compared."""

import inspect
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pkgutil import resolve_name
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.config.auto import AUTO, FIXED, FOLLOWS, NODES, holds_auto
from ddpm_cli.config.build import (
    GROUP_OPTIONS,
    TARGET_PREFIXES,
    Options,
    T,
    bind_options,
    options_of,
    suggestion,
    target_of,
)
from ddpm_cli.config.other_names import meant_value
from ddpm_cli.config.values import yaml_text
from ddpm_cli.text import encodable_text


def parse_options(
    cfg: DictConfig, options: type[T], *, groups: Sequence[str] = (), beside: Options | None = None
) -> T:
    """Check a whole configuration once, and return the options at its top level.

    groups: the groups that the command takes. beside: other options at the top level.
    Raises ValueError that names the first bad option, its value, and what is allowed.
    """
    check_groups(cfg, *groups)
    check_values(cfg, "", {**options_of(options), **(beside or {})}, groups)
    return bind_options(options, cfg)()


def check_groups(cfg: DictConfig, *keys: str) -> None:
    """Check the options of nodes and of the nodes in them, before anything is called.

    Raises ValueError that names the first bad option, its value, and what is allowed.
    """
    for key in keys:
        node = OmegaConf.select(cfg, key)
        if not isinstance(node, DictConfig):
            raise ValueError(f"{key} must be given: a choice of the group, or a node with _target_")
        if key in NODES and holds_auto(cfg, key):
            check_values(node, f"{key}.", {}, ["_target_"], f" of {key}={AUTO}")
            continue
        target = target_of(cfg, key)
        own, shared = (
            options_of(target),
            options_of(resolve_name(GROUP_OPTIONS[key])) if key in GROUP_OPTIONS else {},
        )
        assert not own.keys() & shared.keys(), f"{key} declares an option twice"
        parts = inspect.signature(target).parameters
        nested = [name for name in parts if f"{key}.{name}" in TARGET_PREFIXES]
        check_groups(cfg, *(f"{key}.{name}" for name in nested))
        known = [*nested, "_target_"]
        check_values(node, f"{key}.", {**own, **shared}, known, f" of {node._target_}")


def check_values(
    node: DictConfig, prefix: str, allowed: Options, known: Sequence[str], owner: str = ""
) -> None:
    """Check the names and types of a node's options."""
    for name in map(str, node):
        if name not in allowed and name not in known:
            near = suggestion(prefix + name, [*allowed, *known])
            raise ValueError(f"{prefix}{name} is not an option{owner}; {near}")
    values: Any = OmegaConf.to_container(node, resolve=True)
    for name, parameter in allowed.items():
        kind = parameter.annotation
        if name not in node or OmegaConf.is_missing(node, name):
            if parameter.default is parameter.empty:
                raise ValueError(f"{prefix}{name} must be given ({type_text(kind)})")
        elif f"{prefix}{name}" in (*FIXED, *FOLLOWS) and values[name] == AUTO:
            continue
        elif not fits(value := values[name], kind):
            auto = f" or {AUTO}" if f"{prefix}{name}" in FIXED else ""
            rule = f"must be {rule_text(value, kind)}{auto}, but is {yaml_text(value)}"
            as_text = isinstance(value, bool | int | float) and fits("", kind)
            quoting = f" (as a text: '{prefix}{name}=\"...\"')" if as_text else ""
            as_list = fits([value], kind) and not isinstance(value, list)
            listed = f"; did you mean '{prefix}{name}=[{value}]'?" if as_list else ""
            meant = meant_value(f"{prefix}{name}", value, literals(kind))
            named = f"; did you mean {prefix}{name}={meant}?" if meant else ""
            raise ValueError(f"{prefix}{name} {rule}{quoting}{listed}{named}")
        elif not is_utf8(value):
            rule = f"must be text in UTF-8, but is {value!r}"
            raise ValueError(f"{prefix}{name} {rule}; give a path such a name by a link (ln -s)")


def literals(kind: Any) -> list[Any]:
    """The values that an annotated type names one by one."""
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [each for part in get_args(kind) for each in literals(part)]


def fits(value: Any, kind: Any) -> bool:
    """Whether a value is of an annotated type; an int counts as a float, a bool not as an int."""
    origin, args = get_origin(kind), get_args(kind)
    if kind in (Any, inspect.Parameter.empty):
        return True
    if origin is Literal:
        return value in args and not isinstance(value, bool)
    if origin in (Union, UnionType):
        return any(fits(value, each) for each in args)
    if origin is dict:
        return isinstance(value, dict)
    if origin is tuple and args[-1] is not Ellipsis:
        return isinstance(value, list) and len(value) == len(args) and all(map(fits, value, args))
    if origin in (list, tuple, Sequence):
        return isinstance(value, list) and all(fits(each, args[0]) for each in value)
    if kind in (int, float):
        number = isinstance(value, (int, kind)) and not isinstance(value, bool)
        return number and abs(value) <= sys.float_info.max
    return isinstance(value, kind)


def is_utf8(value: Any) -> bool:
    """Whether texts can be written as UTF-8; bytes of a file's name in Latin-1 cannot."""
    texts = map(str, value if isinstance(value, list) else [value])
    return all(encodable_text(text) == text for text in texts)


def rule_text(value: Any, kind: Any) -> str:
    """The type that a value should have; of a float that is not finite, that it be finite."""
    text, parts = type_text(kind), value if isinstance(value, list) else [value]
    if all(math.isfinite(each) for each in parts if isinstance(each, float)):
        return text
    return text.replace("float", "a finite number" if parts is not value else "finite numbers")


def type_text(kind: Any) -> str:
    """A type in the user's words."""
    origin, args = get_origin(kind), get_args(kind)
    if kind in (Any, inspect.Parameter.empty):
        return "a value"
    if origin is dict:
        return "{NAME: VALUE, ...}"
    if origin is Literal:
        return ("one of " if len(args) > 1 else "") + ", ".join(map(str, args))
    if origin in (Union, UnionType):
        return " or ".join(
            type_text(each) for each in args if not str(each).startswith("<class 'torch.")
        )
    if origin in (list, tuple, Sequence):
        return f"a list of {len(args) if origin is tuple else ''} {type_text(args[0])}".replace(
            "  ", " "
        )
    return "null" if kind is NoneType else getattr(kind, "__name__", str(kind))


def at_least(options: object, **lowest: int) -> None:
    """Refuse options below their lowest allowed numbers."""
    for name, low in lowest.items():
        if isinstance(number := getattr(options, name), int | float) and number < low:
            raise ValueError(f"{name} must be at least {low}, but is {number}")


def at_most(options: object, **highest: float) -> None:
    """Refuse options above their highest allowed numbers."""
    for name, high in highest.items():
        if isinstance(number := getattr(options, name), int | float) and number > high:
            raise ValueError(f"{name} must be at most {high:,}, but is {number}")


def refuse_idle(options: Any, names: str, where: str) -> None:
    """Refuse options of a dataclass that differ from their defaults where they have no effect."""
    for field in fields(options):
        if field.name in names.split() and (value := getattr(options, field.name)) != field.default:
            raise ValueError(f"{field.name}={yaml_text(value)} has no effect {where}")


def option_differences(old: Any, new: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """(key, old value, new value) of every option in which two plain configurations differ."""
    for name in {**old, **new}:
        before, after, key = old.get(name), new.get(name), f"{prefix}{name}"
        if isinstance(before, dict) and isinstance(after, dict):
            yield from option_differences(before, after, f"{key}.")
        elif before != after:
            yield key, before, after
