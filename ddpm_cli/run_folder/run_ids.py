"""The ids under which services know a run, one file for each logger in the run's folder."""

import re
from pathlib import Path

from ddpm_cli.config.plain_text import bounded_text
from ddpm_cli.files import save_text
from ddpm_cli.run_folder.layout import RUN_ID

ID = re.compile(r"[\w.-]{1,128}", re.ASCII)


def read_run_id(folder: Path, logger: str) -> str | None:
    """The id of the run for a logger; None if there is none, or no plain one."""
    try:
        text = bounded_text(folder / RUN_ID.format(logger), 1000).strip()
    except (OSError, ValueError):
        return None
    return text if ID.fullmatch(text) else None


def save_run_id(folder: Path, logger: str, run_id: str) -> None:
    """Write the id of the run for a logger. Raises OSError."""
    save_text(folder / RUN_ID.format(logger), f"{run_id}\n")
