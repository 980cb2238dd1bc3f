"""The finding of a check."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """The finding of a check: ok, a warning, an error that stops the run, or an estimate."""

    level: Literal["ok", "warning", "error", "estimate"]
    text: str
