"""Evaluations of a run's checkpoints, and whether the evaluations can be compared."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ddpm_cli.checkpoint_paths import run_of
from ddpm_cli.config.plain_text import bounded_text
from ddpm_cli.files import append_text
from ddpm_cli.run_folder.layout import EVALUATIONS, HYDRA
from ddpm_cli.run_folder.numbers import Numbers
from ddpm_cli.run_folder.rows import is_drawable, json_rows

MOST_BYTES = 2**24  # of the file
LONGEST = {"metric": 200, "protocol": 3000}  # characters of a text
log = logging.getLogger(__name__)


def last_evaluations(folder: Path) -> tuple[Numbers, dict[str, str]]:
    """The last number of every evaluated metric, and the protocol of each number."""
    rows = [row for row in evaluation_rows(folder) if is_drawable(row["value"])]
    numbers = {row["metric"]: row["value"] for row in rows}
    return numbers, {row["metric"]: row["protocol"] for row in rows}


def evaluation_rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of a run's evaluations that hold a metric, its value and its protocol."""
    return [
        row
        for row in json_rows(folder / EVALUATIONS, MOST_BYTES)
        if "value" in row
        and all(
            isinstance(row.get(name), str) and len(row[name]) <= most
            for name, most in LONGEST.items()
        )
    ]


def protocol_warning(rows: Sequence[Mapping[str, Any]]) -> str:
    """A warning of metrics with numbers of several protocols, and the differences; '' if none."""
    protocols: dict[str, dict[str, None]] = {}
    for row in rows:
        protocols.setdefault(str(row["metric"]), {})[str(row["protocol"])] = None
    return "; ".join(
        protocol_difference(metric, [*texts])
        for metric, texts in protocols.items()
        if len(texts) > 1
    )


def protocol_difference(metric: str, texts: Sequence[str]) -> str:
    """The differences between the protocols of one metric."""
    parts = [text.split(" | ") for text in texts]
    alike = set.intersection(*map(set, parts))
    differences = " against ".join(
        ", ".join(part for part in each if part not in alike) or "nothing more" for each in parts
    )
    return (
        f"{metric} is by {len(texts)} protocols and cannot be compared across them: {differences}"
    )


def append_evaluations(checkpoint: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append new rows to the evaluations of a checkpoint's run, if the run has a folder.

    A folder that cannot be written to, or a file that is a link, causes only a warning.
    """
    run = run_of(checkpoint)
    if not (run / HYDRA).is_dir():
        return
    path = run / EVALUATIONS
    try:
        text = bounded_text(path, MOST_BYTES)
        old = set(text.splitlines())
        new = "".join(f"{line}\n" for line in map(json.dumps, rows) if line not in old)
        append_text(path, "\n" * (bool(text) and not text.endswith("\n")) + new)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        log.warning(
            "warning: cannot write into %s: %s; the numbers stand in eval.json alone", path, reason
        )
