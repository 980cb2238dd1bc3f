"""The columns of images and of labels in a table."""

from collections.abc import Callable

from datasets import ClassLabel, Image, IterableDataset, Value

from ddpm_cli.data.sources.source import Source, Table, rows_source, stream_source

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
LABELS = ("string", "large_string", *INTEGERS)


def table_source(
    rows: Table, image_column: str, label_column: str | None, place: str | None = None
) -> Source:
    """The source of a table, whose columns are found or checked and whose images stay undecoded.

    For label_column `auto`, labels are the first column that declares classes, else `cls` of a
    WebDataset.
    """
    declared = rows.features.get(image_column)
    # Files of other writers may not declare a column of images.
    if isinstance(declared, dict) or declared == Value("binary"):
        rows = rows.cast_column(image_column, Image())
    image = find_column(rows, image_column, "of kind Image", lambda each: isinstance(each, Image))
    if image is None:
        raise ValueError(f"image_column: no column of {rows.column_names} holds images; name one")
    label = label_column
    if label_column == "auto":
        label = find_column(rows, "auto", "", lambda each: isinstance(each, ClassLabel))
        webdataset = {"cls", "__key__"} <= rows.features.keys()
        if label is None and webdataset and is_label_feature(rows.features["cls"]):
            label = "cls"
    elif label_column is not None:
        kinds = "of kind ClassLabel, whole numbers or text"
        label = find_column(rows, label_column, kinds, is_label_feature)
    rows = rows.cast_column(image, Image(decode=False))
    if isinstance(rows, IterableDataset):
        return stream_source(rows, image, label)
    return rows_source(rows, image, label, place)


def is_label_feature(feature: object) -> bool:
    """Whether a feature may hold labels."""
    return isinstance(feature, ClassLabel) or (
        isinstance(feature, Value) and feature.dtype in LABELS
    )


def find_column(rows: Table, name: str, kinds: str, fits: Callable[[object], bool]) -> str | None:
    """Find the column called `name`, or for `auto` the first whose feature fits."""
    if name == "auto":
        return next((key for key, feature in rows.features.items() if fits(feature)), None)
    if name not in rows.features or not fits(rows.features[name]):
        columns = {key: type(feature).__name__ for key, feature in rows.features.items()}
        raise ValueError(f"no column {name!r} {kinds}; there are {columns}")
    return name
