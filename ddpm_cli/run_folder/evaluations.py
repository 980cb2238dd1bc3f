"""Evaluations of a run's checkpoints, and whether they can be compared."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ddpm_cli.run_folder.numbers import Numbers
from ddpm_cli.run_folder.rows import json_rows


def last_evaluations(path: Path) -> tuple[Numbers, dict[str, str]]:
    """The last evaluation of every metric, and the protocol of each."""
    measured, protocols = dict[str, float](), dict[str, str]()
    for row in json_rows(path):
        if {"metric", "value", "protocol"} <= row.keys() and isinstance(row["value"], int | float):
            measured[str(row["metric"])], protocols[str(row["metric"])] = (
                row["value"],
                str(row["protocol"]),
            )
    return measured, protocols


def protocol_warning(rows: Sequence[Mapping[str, Any]]) -> str:
    """What is to stand below a table in which a metric's numbers are of several protocols: that, and in what these differ; else ''."""
    protocols: dict[str, dict[str, None]] = {}
    for row in rows:
        protocols.setdefault(str(row["metric"]), {})[str(row["protocol"])] = None
    return "; ".join(
        protocol_difference(metric, [*texts])
        for metric, texts in protocols.items()
        if len(texts) > 1
    )


def protocol_difference(metric: str, texts: Sequence[str]) -> str:
    """In what the protocols of one metric differ."""
    parts = [text.split(" | ") for text in texts]
    alike = set.intersection(*map(set, parts))
    said = " against ".join(
        ", ".join(part for part in each if part not in alike) or "nothing more" for each in parts
    )
    return f"{metric} is by {len(texts)} protocols and cannot be compared across them: {said}"
