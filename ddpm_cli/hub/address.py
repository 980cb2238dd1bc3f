"""`hf://OWNER/NAME@REVISION`: the address of a model on the hub, also of its copy in the cache."""

import re
from dataclasses import dataclass
from pathlib import Path

PREFIX = "hf://"
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
REVISION = re.compile(r"[A-Za-z0-9][\w./-]{0,199}", re.ASCII)
CACHED = re.compile(r"models--(?P<owner>.+?)--(?P<name>.+)")  # the folder of a model in the cache
COMMIT = re.compile("[0-9a-f]{40}")


@dataclass(frozen=True)
class HubAddress:
    """A model on the hub. revision: a branch, a tag or a commit."""

    repository: str
    revision: str = "main"

    def __str__(self) -> str:
        return f"{PREFIX}{self.repository}@{self.revision}"


def is_address(text: str) -> bool:
    """Whether a text names a model on the hub."""
    return text.startswith(PREFIX)


def parse_address(text: str) -> HubAddress:
    """Parse hf://OWNER/NAME or hf://OWNER/NAME@REVISION. Raises ValueError."""
    repository, marked, revision = text.removeprefix(PREFIX).partition("@")
    known = is_repository(repository) and (not marked or REVISION.fullmatch(revision))
    if not known or ".." in revision:
        raise ValueError(f"a model on the hub is hf://OWNER/NAME[@REVISION], but is {text!r}")
    return HubAddress(repository, revision or "main")


def is_repository(text: str) -> bool:
    """Whether a text is OWNER/NAME as the hub allows it."""
    return bool(REPOSITORY.fullmatch(text)) and "--" not in text and ".." not in text


def path_text(path: Path) -> str:
    """A path in words; for a file in the hub's cache, the model's address with its commit."""
    *_, repository, snapshots, commit, _ = "", "", "", "", *path.parts
    model = CACHED.fullmatch(repository)
    if not (model and snapshots == "snapshots" and COMMIT.fullmatch(commit)):
        return str(path)
    return str(HubAddress(f"{model['owner']}/{model['name']}", commit))
