"""The finding of a check."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """The finding of a check: all is well, a warning, a reason not to start, or an estimate."""

    level: Literal["ok", "warning", "error", "estimate"]
    text: str
