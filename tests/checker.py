"""The checker of the package's annotations in tests: an int passes for a float (PEP 484)."""

from inspect import isclass, isfunction
from typing import get_args

import jaxtyping
from beartype import BeartypeConf, beartype
from jaxtyping import AbstractArray, jaxtyped

CHECK, MADE = beartype(conf=BeartypeConf(is_pep484_tower=True)), {}


def checked(function):
    """The check of a function's annotations, made once for each place of a nested function.

    Its making takes 4 ms.
    """
    if "<locals>" not in function.__qualname__:
        return CHECK(function)
    line = (
        function.__module__,
        function.__qualname__,
        function.__code__.co_varnames,
        *function.__annotations__.items(),
    )
    if line not in MADE:
        MADE[line] = CHECK(function)
    return MADE[line]


def checked_by_need(*, typechecker):
    """The check of `jaxtyped`, or of beartype alone where no shapes can be compared.

    It binds the arguments and checks them twice, which took a fifth of a tiny run.
    """

    def decorate(thing):
        plain = isfunction(thing) and "<locals>" not in thing.__qualname__
        if plain and not any(map(may_be_array, thing.__annotations__.values())):
            return CHECK(thing)
        return jaxtyped(thing, typechecker=typechecker)

    return decorate


def may_be_array(kind):
    """Whether a type is of arrays, or has a part that is; a type by its name may be."""
    if isinstance(kind, list | tuple):
        return any(map(may_be_array, kind))
    is_array = isclass(kind) and issubclass(kind, AbstractArray)
    return is_array or isinstance(kind, str) or any(map(may_be_array, get_args(kind)))


def install():
    """Check the package's annotations from its import on."""
    jaxtyping.jaxtyped = checked_by_need
    jaxtyping.install_import_hook("ddpm_cli", f"{__name__}.checked")
