"""The rows of labels in a network, fitted to the classes of other images."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ddpm_cli.shapes import Others


def class_sources(old: Sequence[str], new: Sequence[str]) -> list[int | None]:
    """For each new class, the place of the old class that it continues; None if it is new.

    Classes are the same by name. Where no name agrees, as many classes are the same by place.
    """
    places = {name: place for place, name in enumerate(old)}
    if not places.keys() & {*new} and len(old) == len(new):
        return [*range(len(new))]
    return [places.get(name) for name in new]


def fit_rows(rows: Others, old: Sequence[str], new: Sequence[str], count: int) -> Tensor:
    """The rows of `new` classes, and the row of no label if there are `count` rows.

    A new class has the mean of the old rows, and so has no label where it had no row.
    """
    mean = rows[: len(old)].mean(0)
    fitted = [mean if place is None else rows[place] for place in class_sources(old, new)]
    unlabelled = rows[len(old)] if len(rows) > len(old) else mean
    return torch.stack([*fitted, unlabelled][:count])


def rows_text(old: Sequence[str], new: Sequence[str]) -> str:
    """What becomes of the rows of labels, in words."""
    sources = class_sources(old, new)
    fresh = sources.count(None)
    by = "name" if {*old} & {*new} else "place"
    parts = [f"{len(sources) - fresh} of {len(new)} classes by {by}"] * (fresh < len(sources))
    parts += [f"{fresh} new ({f'the mean of {len(old)}' if old else 'zero'})"] * (fresh > 0)
    return f"labels: {', '.join(parts)}"
