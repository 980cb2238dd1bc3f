"""The values that the first job of a sweep chooses for the options with `auto`, for all jobs."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock

from ddpm_cli.config.plain_text import bounded_text, plain_json
from ddpm_cli.files import save_text
from ddpm_cli.sweeps.sweep import COMMAND

SHARED_RECIPE, LOCK = "recipe.json", "recipe.lock"


@contextmanager
def shared_recipe(sweep: Path | None) -> Iterator[dict[str, Any]]:
    """Yield the recipe of a sweep, empty until a job has filled it; other jobs wait meanwhile.

    sweep: the folder of the sweep; None outside a sweep. A job that fails writes nothing.
    Raises ValueError for a broken file.
    """
    if sweep is None:
        yield {}
        return
    path = sweep / SHARED_RECIPE
    with FileLock(sweep / LOCK):
        before = plain_json(bounded_text(path) or "{}")
        if not isinstance(before, dict):
            raise ValueError(f"{str(path)!r} is not the recipe of a sweep")
        recipe = dict(before)
        yield recipe
        if recipe != before:
            save_text(path, json.dumps(recipe, indent=1) + "\n")


def swept_options_of(overrides: Sequence[str], sweep: Path) -> list[str]:
    """The options of a job that the command of its sweep varies, or that a search has set."""
    try:
        typed = plain_json(bounded_text(sweep / COMMAND))["overrides"]
    except (ValueError, LookupError, TypeError):
        return []
    return [each.lstrip("+~").partition("=")[0] for each in overrides if each not in typed]
