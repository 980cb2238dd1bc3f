"""Values of options in the form of a command line."""

import re
from pathlib import Path
from typing import Any

PLAIN = re.compile(r"[\w./:@%+-]+( [\w./:@%+-]+)*", re.ASCII)
NO_TEXT = re.compile(r"null|true|false|[+-]?(inf|nan|\.?\d[\d._e+-]*)", re.IGNORECASE)


def yaml_text(value: Any) -> str:
    """A value as YAML shows it: null, true and false; a text stays between quotes."""
    if isinstance(value, list):
        return f"[{', '.join(map(yaml_text, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {yaml_text(each)}' for key, each in value.items())}}}"
    known = {None: "null", True: "true", False: "false"}
    return known[value] if value is None or isinstance(value, bool) else repr(value)


def text_value(text: str) -> str:
    """A text as the value of an override, quoted if Hydra's grammar would misread the text."""
    return text if PLAIN.fullmatch(text) and not NO_TEXT.fullmatch(text) else quote(text)


def path_override(name: str, path: Path) -> str:
    """The override that names a path."""
    return f"{name}={text_value(str(path))}"


def quote(text: str) -> str:
    """Put a text between quotes; a backslash is literal except before a quote.

    The quotes are double, which a shell's single quotes around the override leave as they are.
    """
    doubled = re.sub(r'(\\*)("|$)', lambda each: 2 * each[1] + '\\"' * bool(each[2]), text)
    return f'"{doubled}"'
