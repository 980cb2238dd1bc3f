"""Types of options: whether a value fits one, and its name in messages."""

import inspect
import math
from collections.abc import Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin


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
        return (
            isinstance(value, (int, kind)) and not isinstance(value, bool) and math.isfinite(value)
        )
    return isinstance(value, kind)


def type_text(kind: Any) -> str:
    """A type in the user's words."""
    origin, args = get_origin(kind), get_args(kind)
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
