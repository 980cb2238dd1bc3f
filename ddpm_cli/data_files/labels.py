"""Labels of images: their classes, and files that list labels."""

import csv
import json
import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from io import StringIO
from pathlib import PureWindowsPath
from typing import Any, Literal, TypeAlias
from unicodedata import normalize

from ddpm_cli.files import regular_file, user_path
from ddpm_cli.text import natural_key

Rules: TypeAlias = Literal[1, 2]  # versions of the rules by which images are read
Remarks: TypeAlias = list[tuple[str, str]]  # labels and texts for the screen
Pages: TypeAlias = Literal["first", "all"]  # the pages of a file that are images
DATASET_TOOL = "dataset.json"  # the labels of a set that NVlabs' dataset_tool has written
LARGEST_LISTING = 2**27  # bytes
WHOLE = re.compile(r"[+-]?[0-9]{1,20}")


def class_order(labels: Iterable[str | None], rules: Rules, *, folders: bool = False) -> list[str]:
    """The distinct labels in their natural order: 1, 2, 10, and a2 before a10.

    Labels that Unicode counts as equal (NFC) are one class. With rules=1, labels are in the order
    of text, but for whole numbers that are no names of folders.
    """
    distinct = sorted(
        {label if rules == 1 else nfc(label) for label in labels if label is not None}
    )
    if rules == 1 and folders:
        return distinct
    if all(map(WHOLE.fullmatch, distinct)):
        return sorted(distinct, key=int)
    return distinct if rules == 1 else sorted(distinct, key=natural_key)


def nfc(text: str) -> str:
    """A text with composed letters: files of a Mac may have the letter and its accent apart."""
    return normalize("NFC", text)


def class_numbers(labels: Iterable[str | None], classes: Sequence[str]) -> list[int | None]:
    """The number of each label's class."""
    places = {name: place for place, name in enumerate(classes)}
    return [
        None if label is None else places[label if label in places else nfc(label)]
        for label in labels
    ]


def number_classes(
    labels: Sequence[str | None], rules: Rules, *, folders: bool = False
) -> tuple[Callable[[], list[int | None]] | None, list[str]]:
    """A function that returns the numbers of the labels' classes, if there are any; the classes."""
    classes = class_order(labels, rules, folders=folders)
    return partial(class_numbers, labels, classes) if classes else None, classes


def labels_from_file(path: str, names: Sequence[str], rules: Rules) -> list[str | None]:
    """The label of each image in a CSV or JSONL file, None if missing or empty."""
    labels: dict[str, str | None] = {}
    known = {} if rules == 1 else {nfc(name): name for name in names}
    known |= {name: name for name in names}
    for row in label_rows(path):
        name, label = posixpath.normpath(str(row["file_name"])), row["label"]
        name = known.get(name) or known.get(nfc(name)) or name
        if name not in known or name in labels:
            rule = "labels must name each image of the folder once at most"
            reason = name_fault(str(row["file_name"])) if name not in known else ""
            raise ValueError(f"{rule}, but {path!r} names {row['file_name']!r}{reason}")
        text = "" if label is None else str(label).strip()
        if isinstance(label, (list, dict)) or not text.isprintable():
            rule = "labels must be printable text or numbers"
            raise ValueError(f"{rule}, but {row['file_name']!r} in {path!r} has {label!r}")
        labels[name] = text or None
    if not any(labels.values()):
        raise ValueError(f"labels must hold a label, but {path!r} holds none")
    return [labels.get(name) for name in names]


def name_fault(name: str) -> str:
    """The fault of a name in a file of labels that no name in a folder has."""
    if posixpath.isabs(name) or PureWindowsPath(name).is_absolute():
        return ", an absolute path; names are relative to the folder"
    return ", with backslashes; folders are parted by /" if "\\" in name else ""


def labels_of_dataset_tool(content: bytes, names: Sequence[str]) -> list[str | None] | None:
    """The label of each image in a dataset.json of NVlabs' dataset_tool; None for other files.

    Its labels are null, or a list of pairs of a name and a whole number.
    """
    if len(content) > LARGEST_LISTING:
        raise ValueError(f"{DATASET_TOOL} must be of at most {LARGEST_LISTING:,} bytes")
    try:
        listed = json.loads(content)["labels"]
        pairs = [] if listed is None else [(nfc(str(name)), label) for name, label in listed]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    if not all(type(label) is int and 0 <= label < 2**63 for _, label in pairs):
        raise ValueError(
            "labels in dataset.json must be whole numbers from 0 on, one for each image"
        )
    labels = {name.replace("\\", "/"): str(label) for name, label in pairs}
    return [labels.get(nfc(name)) for name in names]


def label_rows(path: str) -> list[Mapping[str, Any]]:
    """Read the rows of a CSV or JSONL file. Raises ValueError if a row lacks a column."""
    file = user_path(path)
    kind = file.suffix.lower()
    rule = "labels must be a .csv or .jsonl file"
    if kind not in (".csv", ".jsonl"):
        raise ValueError(f"{rule}, but is {path!r}")
    try:
        text = regular_file(file).read_text("utf-8-sig")
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
