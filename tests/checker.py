"""The checker of the package's annotations in tests: an int passes for a float (PEP 484)."""

from beartype import BeartypeConf, beartype

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
