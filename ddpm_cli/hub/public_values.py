"""Values of options as others may see them: no folder of the user's machine, and no key."""

import re
from collections.abc import Mapping
from typing import Any

from ddpm_cli.files import user_path
from ddpm_cli.hub.address import is_repository

CREDENTIALS = re.compile(r"(?<=://)[^/\\@]*@")
SEPARATOR = re.compile(r"[/\\]+")


def without_paths(value: Any, name: str = "") -> Any:
    """A plain value in which each path, or address, is cut to its last name.

    name: the option of the value. A data set's OWNER/NAME on the hub is no path.
    """
    if isinstance(value, Mapping):
        return {key: without_paths(each, str(key)) for key, each in value.items()}
    if isinstance(value, list):
        return [without_paths(each, name) for each in value]
    if not isinstance(value, str) or not SEPARATOR.search(value):
        return value
    if name == "name" and is_repository(value) and not user_path(value).exists():
        return value
    address = CREDENTIALS.sub("", value.partition("?")[0])
    return SEPARATOR.split(address.rstrip("/\\"))[-1]
