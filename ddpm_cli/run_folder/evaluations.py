"""Evaluations of a run's checkpoints, and whether the evaluations can be compared."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ddpm_cli.files import append_text, load_text
from ddpm_cli.run_folder.layout import EVALUATIONS, HYDRA
from ddpm_cli.run_folder.numbers import Numbers
from ddpm_cli.run_folder.rows import json_rows

log = logging.getLogger(__name__)


def last_evaluations(folder: Path) -> tuple[Numbers, dict[str, str]]:
    """The last number of every evaluated metric, and the protocol of each number."""
    numbers, protocols = dict[str, float](), dict[str, str]()
    for row in json_rows(folder / EVALUATIONS):
        if {"metric", "value", "protocol"} <= row.keys() and isinstance(row["value"], int | float):
            metric = str(row["metric"])
            numbers[metric], protocols[metric] = row["value"], str(row["protocol"])
    return numbers, protocols


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

    A folder that cannot be written to causes only a warning.
    """
    parent = checkpoint.parent
    run = parent.parent if parent.name == "checkpoints" else parent
    if not (run / HYDRA).is_dir():
        return
    path = run / EVALUATIONS
    try:
        text = load_text(path) if path.exists() else ""
        old = set(text.splitlines())
        new = "".join(f"{line}\n" for line in map(json.dumps, rows) if line not in old)
        append_text(path, "\n" * (bool(text) and not text.endswith("\n")) + new)
    except OSError as error:
        reason = error.strerror or error
        log.warning(
            "warning: cannot write into %s: %s; the numbers stand in eval.json alone", path, reason
        )
