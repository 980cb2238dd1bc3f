"""Files of a folder pushed to a repository of the hub, after saying which and where to."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from huggingface_hub import constants

from ddpm_cli.console import fact
from ddpm_cli.hub.address import HubAddress
from ddpm_cli.hub.connection import TOKEN, hub_errors, is_usable, offline_text
from ddpm_cli.text import size_text


def push_files(paths: Sequence[Path], repository: str, *, private: bool) -> HubAddress:
    """Push files to a model's repository in one commit; return its address with the commit.

    The repository is made if there is none. Raises ValueError if there is no token or no network,
    or if the repository is public and `private` is true.
    """
    hub: Any = import_module("huggingface_hub")
    task = f"push={repository}"
    if not hub.get_token():
        raise ValueError(f"{task}: there is no token: {TOKEN}")
    if not is_usable():
        raise ValueError(f"{task}: {offline_text()}")
    api = hub.HfApi(endpoint=constants.ENDPOINT, library_name="ddpm-cli")
    with hub_errors(task):
        present = present_model(api, repository)
        if private and present is not None and not present.private:
            raise ValueError("it is public already: private=false pushes to it")
        seen = "private" if private or (present is not None and present.private) else "public"
        fact("push", f"to {constants.ENDPOINT}/{repository}, {seen}:")
        for path in paths:
            fact("", f"{path.name}, {size_text(path.stat().st_size)}")
        if present is None:
            api.create_repo(repository, private=private)
        added = [hub.CommitOperationAdd(path.name, path) for path in paths]
        commit = api.create_commit(repository, added, commit_message="Add a model of ddpm-cli")
    return HubAddress(repository, commit.oid)


def present_model(api: Any, repository: str) -> Any:
    """What the hub knows of a model, or None if there is no such model."""
    missing = import_module("huggingface_hub.errors").RepositoryNotFoundError
    try:
        return api.model_info(repository)
    except missing as error:
        if getattr(error.response, "status_code", None) == 401:  # the token itself is refused
            raise
        return None
