"""Text, JSON and YAML that a stranger may have written: plain values within limits."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ddpm_cli.text import size_text

MOST_BYTES = 2**22  # of a file of facts
# of YAML: characters, levels, and tokens; more than any configuration has
MOST_CHARACTERS, MOST_DEPTH, MOST_TOKENS = 2**17, 50, 20_000
MOST_DIGITS = 19  # of a whole number
REPLACEMENT = "\ufffd"  # stands for bytes that are no text
NOT_YAML = (OmegaConfBaseException, yaml.YAMLError, AssertionError, LookupError, RecursionError)
NOT_PLAIN = "not YAML of plain values, or too long, or nested too deep"
FOREIGN_TOKENS = (yaml.AliasToken, yaml.AnchorToken, yaml.TagToken)
OPENING = (
    *(yaml.FlowSequenceStartToken, yaml.FlowMappingStartToken),
    *(yaml.BlockSequenceStartToken, yaml.BlockMappingStartToken),
)
CLOSING = (yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken, yaml.BlockEndToken)


def bounded_text(path: Path, most: int = MOST_BYTES) -> str:
    """Read a text file; return "" if there is none.

    Raises ValueError if the file has more than `most` bytes.
    """
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"{str(path)!r} must have at most {size_text(most)}")
    return data.decode(errors="replace")


def whole_number(text: str) -> int:
    """Parse a whole number. Raises ValueError if the number has too many digits for a count."""
    if len(text.lstrip("-")) > MOST_DIGITS:
        raise ValueError(f"a whole number of {len(text)} digits")
    return int(text)


def plain_json(text: str, integer: Callable[[str], Any] = whole_number) -> Any:
    """Parse JSON. integer: parses whole numbers. Raises ValueError."""
    try:
        return json.loads(text, parse_int=integer)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def plain_yaml(text: str, is_fit: Callable[[str], bool] = lambda word: True) -> Any:
    """Parse YAML of plain values, without tags and aliases, as OmegaConf does.

    is_fit: whether a word may stand in the text. Raises ValueError.
    """
    try:
        cfg = OmegaConf.create(text) if is_plain_yaml(text, is_fit) else None
    except NOT_YAML as error:
        raise ValueError(" ".join(str(error).split())[:200] or NOT_PLAIN) from error
    if cfg is None:
        raise ValueError(NOT_PLAIN)
    return cfg


def is_plain_yaml(text: str, is_fit: Callable[[str], bool]) -> bool:
    """Whether a text is YAML of a bounded number of plain values, not nested deep."""
    depth = 0
    if len(text) > MOST_CHARACTERS or REPLACEMENT in text:
        return False
    for count, token in enumerate(yaml.scan(text)):
        depth += isinstance(token, OPENING) - isinstance(token, CLOSING)
        if isinstance(token, FOREIGN_TOKENS) or depth > MOST_DEPTH or count > MOST_TOKENS:
            return False
        if isinstance(token, yaml.ScalarToken) and not is_fit(token.value):
            return False
    return True
