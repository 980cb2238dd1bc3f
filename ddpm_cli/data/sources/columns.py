"""The columns of images and of labels in a table."""

from collections.abc import Callable

from datasets import ClassLabel, Image, IterableDataset, Value

from ddpm_cli.data.sources.source import Source, Table, rows_source, stream_source

LABELS = (
    "string",
    "large_string",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
)


def table_source(
    rows: Table, image_column: str, label_column: str | None, place: str | None = None
) -> Source:
    """Finds or checks the columns, and leaves the images undecoded."""
    declared = rows.features.get(image_column)
    if isinstance(declared, dict) or declared == Value(
        "binary"
    ):  # files that others wrote say less of their columns
        rows = rows.cast_column(image_column, Image())
    image = find_column(
        rows, image_column, "of kind Image", lambda feature: isinstance(feature, Image)
    )
    if image is None:
        raise ValueError(f"image_column: no column of {rows.column_names} holds images; name one")
    label = None if label_column is None else find_label_column(rows, label_column)
    rows = rows.cast_column(image, Image(decode=False))
    return (
        stream_source(rows, image, label)
        if isinstance(rows, IterableDataset)
        else rows_source(rows, image, label, place)
    )


def find_label_column(rows: Table, name: str) -> str | None:
    """The column of labels called `name`; for `auto` the first that declares classes, else `cls` of a WebDataset."""
    if name != "auto":
        return find_column(
            rows, name, "of kind ClassLabel, whole numbers or text", is_label_feature
        )
    found = find_column(rows, name, "", lambda feature: isinstance(feature, ClassLabel))
    return found or (
        "cls"
        if {"cls", "__key__"} <= rows.features.keys() and is_label_feature(rows.features["cls"])
        else None
    )


def is_label_feature(feature: object) -> bool:
    """Whether a feature may be labels."""
    return isinstance(feature, ClassLabel) or (
        isinstance(feature, Value) and feature.dtype in LABELS
    )


def find_column(rows: Table, name: str, told: str, kind: Callable[[object], bool]) -> str | None:
    """The column called `name`, or for `auto` the first of a kind of feature."""
    if name == "auto":
        return next((key for key, feature in rows.features.items() if kind(feature)), None)
    if name not in rows.features or not kind(rows.features[name]):
        columns = {key: type(feature).__name__ for key, feature in rows.features.items()}
        raise ValueError(f"no column {name!r} {told}; there are {columns}")
    return name
