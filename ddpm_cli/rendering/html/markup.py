"""Elements of HTML: whatever is no markup yet is escaped, wherever it comes from."""

import html
from dataclasses import dataclass

VOID = ("img", "input")


@dataclass(frozen=True)
class Markup:
    """A text that is markup; every other text is plain."""

    text: str


def element(name: str, *inner: Markup | str, **attributes: str) -> Markup:
    """An element with attributes (`class_`, `aria_label`: underscores are hyphens) and what is in it."""
    said = "".join(
        f' {key.strip("_").replace("_", "-")}="{escaped(value)}"'
        for key, value in attributes.items()
    )
    rest = "" if name in VOID else f"{joined(*inner).text}</{name}>"
    return Markup(f"<{name}{said}>{rest}")


def joined(*pieces: Markup | str) -> Markup:
    """Pieces one after another."""
    return Markup(
        "".join(piece.text if isinstance(piece, Markup) else escaped(piece) for piece in pieces)
    )


def escaped(text: str) -> str:
    """A plain text in HTML."""
    return html.escape(printable(text))


def printable(text: str) -> str:
    """A text with what is not printable spelt out, so that it cannot turn lines round or stop a reader."""
    return "".join(
        each if each.isprintable() or each == "\n" else repr(each)[1:-1] for each in text
    )
