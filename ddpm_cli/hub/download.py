"""A file of a model on the hub, in the hub's cache; its header is checked before the rest comes."""

import os
import shutil
import urllib.request
from collections.abc import Callable
from importlib import import_module
from io import BufferedIOBase
from pathlib import Path
from typing import Any, TypeAlias

from huggingface_hub import constants

from ddpm_cli.hub.address import COMMIT, HubAddress
from ddpm_cli.hub.connection import SECONDS, hub_errors, is_usable, offline_text
from ddpm_cli.text import size_text

Check: TypeAlias = Callable[[BufferedIOBase, int], None]  # reads the head of a file of a size


def fetch_file(address: HubAddress, name: str, check: Check) -> Path:
    """The path of a model's file in the hub's cache; the file is fetched if it is not there.

    check: refuses a file by its first bytes and its size, on the hub and in the cache.
    A commit is fetched once; a branch or a tag is asked for its commit, if the hub answers.
    Raises ValueError if there is no such file, or if the hub cannot be reached.
    """
    hub: Any = import_module("huggingface_hub")  # takes as long as a small command
    task = f"cannot read {name} of {address}"
    repository, asked = address.repository, address.revision
    if not (COMMIT.fullmatch(asked) and cached_file(address, name)):
        if is_usable():
            with hub_errors(task):
                model_info = hub.HfApi(endpoint=constants.ENDPOINT).model_info
                address = HubAddress(repository, model_info(repository, revision=asked).sha)
        elif not cached_file(address, name):
            raise ValueError(f"{task}: {offline_text()}, and no earlier download is in the cache")
    with hub_errors(task):
        if not (path := cached_file(address, name)):
            url = hub.hf_hub_url(
                repository, name, revision=address.revision, endpoint=constants.ENDPOINT
            )
            check_remote(url, check)
            # By the branch, whose commit the cache then knows without the hub.
            path = hub.hf_hub_download(
                repository, name, revision=asked, endpoint=constants.ENDPOINT
            )
        with open(path, "rb") as file:
            check(file, os.fstat(file.fileno()).st_size)
    return Path(path)


def cached_file(address: HubAddress, name: str) -> str | None:
    """The path of a file that the cache holds, or None."""
    path = import_module("huggingface_hub").try_to_load_from_cache(
        address.repository, name, revision=address.revision
    )
    return path if isinstance(path, str) else None


def check_remote(url: str, check: Check) -> None:
    """Read only the head of a file on the hub, and check it. Raises ValueError and OSError.

    The connection is closed after the head, so that the server need not know of ranges.
    """
    headers = import_module("huggingface_hub.utils").build_hf_headers()
    request = urllib.request.Request(url)
    for key, value in headers.items():
        request.add_unredirected_header(key, value)  # the token is for the hub alone
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        size = int(answer.headers.get("Content-Length") or 0)
        check(answer, size)
    folder = Path(constants.HF_HUB_CACHE)
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if size > (free := shutil.disk_usage(there).free):
        raise ValueError(f"it has {size_text(size)}, but {str(there)!r} has {size_text(free)} free")
