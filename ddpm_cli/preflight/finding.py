"""What a check found."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """What a check found: nothing wrong, something to know of, a reason not to start; or what the run will take."""

    level: Literal["ok", "warning", "error", "estimate"]
    text: str
