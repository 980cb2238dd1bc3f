"""Tables that scroll in their box and are sorted by the buttons in their heads; and facts by name."""

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from ddpm_cli.rendering.html.markup import Markup, element, joined

Cell: TypeAlias = Markup | str | float | None


def table(
    columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, caption: str, sortable: bool
) -> Markup:
    """Rows of numbers, texts and gaps, the first of each its name; where it is sortable the page's script makes buttons of the heads."""
    heads = [element("th", each, scope="col") for each in columns]
    body = [
        element("tr", *[cell(each, first=place == 0) for place, each in enumerate(row)])
        for row in rows
    ]
    inner = [
        element("caption", caption),
        element("thead", element("tr", *heads)),
        element("tbody", *body),
    ]
    sorts = {"data_sortable": ""} if sortable else {}
    return element(
        "div",
        element("table", *inner, **sorts),
        class_="scroll",
        role="region",
        tabindex="0",
        aria_label=caption,
    )


def cell(value: Cell, *, first: bool) -> Markup:
    """One cell; a number is sorted by its value, however it is shown."""
    name, scope = ("th", {"scope": "row"}) if first else ("td", {})
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return element(
            name,
            f"{value:,}" if isinstance(value, int) else f"{value:.4g}",
            **scope,
            data_value=repr(value),
        )
    return element(name, value if isinstance(value, Markup | str) else "", **scope)


def pairs(facts: Mapping[str, Markup | str]) -> Markup:
    """Facts by name, those that are empty left out."""
    return element(
        "dl",
        *[joined(element("dt", name), element("dd", fact)) for name, fact in facts.items() if fact],
    )
