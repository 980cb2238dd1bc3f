"""Texts for the screen."""


def printable(text: str) -> str:
    """A text in one line, with what is not printable spelt out."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
