"""Errors of the user as exceptions of Python, in the one line that a command would print."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ddpm_cli.cli.messages import USER_ERRORS, one_line


@contextmanager
def user_errors(config: str = "", arguments: Sequence[str] = ()) -> Iterator[None]:
    """Turn every error of the user into a ValueError in one line; other errors stay.

    config: the YAML file of the command with the same options. arguments: its arguments.
    """
    try:
        yield
    except USER_ERRORS as error:
        text = one_line(error, config, arguments)
        if type(error) is ValueError and str(error) == text:
            raise
        raise ValueError(text) from error
