"""The connection to the hub: whether it answers, and what its errors say in one line."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from huggingface_hub import constants

SECONDS = 5  # to wait for an answer
TOKEN = "set HF_TOKEN or run `hf auth login`"
DENIED, MISSING = (401, 403), 404


def is_online() -> bool:
    """Whether the hub answers."""
    try:
        request = urllib.request.Request(constants.ENDPOINT, method="HEAD")
        urllib.request.urlopen(request, timeout=SECONDS).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def is_usable() -> bool:
    """Whether the hub answers, and HF_HUB_OFFLINE does not forbid to ask."""
    return not constants.HF_HUB_OFFLINE and is_online()


def offline_text() -> str:
    """The reason why the hub is not used, in words."""
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE forbids it"
    return f"{constants.ENDPOINT} cannot be reached"


@contextmanager
def hub_errors(task: str) -> Iterator[None]:
    """Turn the errors of requests to the hub into a ValueError of one line. task: what fails."""
    # Requests fail by an error of the library's client, its storage (xet) by RuntimeError.
    client_error = import_module("huggingface_hub.errors").HTTPError
    failures = (client_error, OSError, ValueError, RuntimeError)
    try:
        yield
    except failures as error:
        raise ValueError(f"{task}: {hub_failure(error)}") from error


def hub_failure(error: Exception) -> str:
    """An error of the hub in one line, with the remedy where a token is missing or refused.

    The hub answers a request without a token as if a private model did not exist.
    """
    status = getattr(getattr(error, "response", None), "status_code", None)
    status = error.code if isinstance(error, urllib.error.HTTPError) else status
    if status in DENIED:
        return f"the hub denies access ({status}): {TOKEN}, with a token that may do so"
    if status == MISSING:
        return f"the hub has none of this name or revision; if it is private or gated, {TOKEN}"
    said = getattr(error, "server_message", None) or str(error) or type(error).__name__
    cause = f" {hub_failure(error.__cause__)}" if isinstance(error.__cause__, Exception) else ""
    return " ".join(f"{said}{cause}".split())
