"""Labels of images: their classes, and files that list labels."""

import csv
import json
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from typing import Any

from ddpm_cli.files import user_path

WHOLE = re.compile(r"[+-]?[0-9]{1,20}")


def class_order(labels: Iterable[str | None]) -> list[str]:
    """The distinct labels, ordered as numbers if all are whole numbers, else as text."""
    distinct = sorted({label for label in labels if label is not None})
    return sorted(distinct, key=int) if all(map(WHOLE.fullmatch, distinct)) else distinct


def class_numbers(labels: Iterable[str | None], classes: Sequence[str]) -> list[int | None]:
    """The number of each label's class."""
    places = {name: place for place, name in enumerate(classes)}
    return [None if label is None else places[label] for label in labels]


def labels_from_file(path: str, names: Sequence[str]) -> tuple[list[str | None], list[str]]:
    """The label of each image in a CSV or JSONL file, None if missing or empty, and the classes."""
    labels: dict[str, str | None] = {}
    known = set(names)
    for row in label_rows(path):
        name, label = posixpath.normpath(str(row["file_name"])), row["label"]
        if name not in known or name in labels:
            rule = "labels must name each image of the folder once at most"
            raise ValueError(f"{rule}, but {path!r} names {row['file_name']!r}")
        text = "" if label is None else str(label).strip()
        if isinstance(label, (list, dict)) or not text.isprintable():
            rule = "labels must be printable text or numbers"
            raise ValueError(f"{rule}, but {row['file_name']!r} in {path!r} has {label!r}")
        labels[name] = text or None
    if not any(labels.values()):
        raise ValueError(f"labels must hold a label, but {path!r} holds none")
    return [labels.get(name) for name in names], class_order(labels.values())


def label_rows(path: str) -> list[Mapping[str, Any]]:
    """Read the rows of a CSV or JSONL file. Raises ValueError if a row lacks a column."""
    file = user_path(path)
    kind = file.suffix.lower()
    rule = "labels must be a .csv or .jsonl file"
    if kind not in (".csv", ".jsonl"):
        raise ValueError(f"{rule}, but is {path!r}")
    try:
        text = file.read_text("utf-8-sig")
        objects = (json.loads(line) for line in text.split("\n") if line.strip())
        cells = csv.DictReader(StringIO(text), strict=True)
        rows: list[Any] = list(cells if kind == ".csv" else objects)
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise ValueError(f"{rule}, but {path!r} cannot be read as one: {error}") from error
    for row in rows:
        columns = list(row) if isinstance(row, dict) else row
        if not isinstance(row, dict) or not {"file_name", "label"} <= row.keys() or None in row:
            rule = "labels must have file_name and label, and no cell without a column, in each row"
            raise ValueError(f"{rule}, but {path!r} has {columns}")
    return rows
