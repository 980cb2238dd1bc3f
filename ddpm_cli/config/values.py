"""Values of options in the form of a command line."""

import re
from pathlib import Path
from typing import Any

PLAIN = re.compile(r"[\w./:@%+-]+", re.ASCII)


def yaml_text(value: Any) -> str:
    """A value as YAML shows it: null, true and false; a text stays between quotes."""
    if isinstance(value, list):
        return f"[{', '.join(map(yaml_text, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {yaml_text(each)}' for key, each in value.items())}}}"
    known = {None: "null", True: "true", False: "false"}
    return known[value] if value is None or isinstance(value, bool) else repr(value)


def path_override(name: str, path: Path) -> str:
    """The override that names a path, quoted if Hydra's grammar would misread the path."""
    return f"{name}={path if PLAIN.fullmatch(str(path)) else quote(str(path))}"


def quote(text: str, mark: str = "'") -> str:
    """Put a text between quotes; a backslash is literal except before a quote."""
    before_quote = rf"(\\*)({mark}|$)"
    doubled = re.sub(before_quote, lambda each: 2 * each[1] + f"\\{mark}" * bool(each[2]), text)
    return f"{mark}{doubled}{mark}"
