"""Labels of images: the classes that they are, and files that list them."""

import csv
import json
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

WHOLE = re.compile(r"[+-]?[0-9]{1,20}")


def class_order(labels: Iterable[str | None]) -> list[str]:
    """The distinct labels in the order of whole numbers, if all are such, else of text."""
    distinct = sorted({label for label in labels if label is not None})
    return sorted(distinct, key=int) if all(map(WHOLE.fullmatch, distinct)) else distinct


def class_numbers(labels: Iterable[str | None], classes: Sequence[str]) -> list[int | None]:
    """The place of each label among the classes."""
    places = {name: place for place, name in enumerate(classes)}
    return [None if label is None else places[label] for label in labels]


def labels_from_file(path: str, names: Sequence[str]) -> tuple[list[str | None], list[str]]:
    """The label of each image by its row in a CSV or JSONL file, where it has one that is not empty, and the classes."""
    found: dict[str, str | None] = {}
    known = set(names)
    for row in label_rows(path):
        name, label = posixpath.normpath(str(row["file_name"])), row["label"]
        if name not in known or name in found:
            raise ValueError(
                f"labels must name each image of the folder once at most, but {path!r} names {row['file_name']!r}"
            )
        text = "" if label is None else str(label).strip()
        if isinstance(label, (list, dict)) or not text.isprintable():
            raise ValueError(
                f"labels must be printable text or numbers, but {row['file_name']!r} in {path!r} has {label!r}"
            )
        found[name] = text or None
    if not any(found.values()):
        raise ValueError(f"labels must hold a label, but {path!r} holds none")
    return [found.get(name) for name in names], class_order(found.values())


def label_rows(path: str) -> list[Mapping[str, Any]]:
    """The rows of a CSV or JSONL file; ValueError where one lacks a column."""
    file = Path(path).expanduser()
    kind = file.suffix.lower()
    if kind not in (".csv", ".jsonl"):
        raise ValueError(f"labels must be a .csv or .jsonl file, but is {path!r}")
    try:
        text = file.read_text("utf-8-sig")
        objects = (json.loads(line) for line in text.split("\n") if line.strip())
        found: list[Any] = list(
            csv.DictReader(StringIO(text), strict=True) if kind == ".csv" else objects
        )
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise ValueError(
            f"labels must be a .csv or .jsonl file, but {path!r} cannot be read as one: {error}"
        ) from error
    for row in found:
        columns = list(row) if isinstance(row, dict) else row
        if not isinstance(row, dict) or not {"file_name", "label"} <= row.keys() or None in row:
            raise ValueError(
                f"labels must have file_name and label, and no cell without a column, in each row, but {path!r} has {columns}"
            )
    return found
