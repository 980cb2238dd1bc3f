"""`run.json` in a run's folder: the run's description, its command, and its warnings."""

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ddpm_cli.config.plain_text import bounded_text, plain_json
from ddpm_cli.files import save_text

NAME = "run.json"


class RunFacts(logging.Handler):
    """The facts of a run. As a handler of logging, the object records warnings as they come.

    Nothing is written before `begin`. A full disk does not end the run.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(logging.WARNING)
        self.path, self.facts, self.warnings = folder / NAME, dict[str, Any](), list[str]()

    def begin(self, facts: Mapping[str, Any]) -> None:
        """Write the facts, with the warnings so far and the warnings of the run that is resumed."""
        earlier = read_facts(self.path.parent).get("warnings", [])
        self.warnings = [*map(str, earlier), *self.warnings] if isinstance(earlier, list) else []
        self.facts = dict(facts)
        self.write()

    def record(self, **facts: Any) -> None:
        """Add facts of the run, which has begun."""
        self.facts |= facts
        self.write()

    def emit(self, record: logging.LogRecord) -> None:
        """Record a warning or an error."""
        self.warnings.append(record.getMessage().removeprefix("warning: "))
        if self.facts:
            self.write()

    def write(self) -> None:
        """Write the file, with each warning once."""
        facts = {**self.facts, "warnings": list(dict.fromkeys(self.warnings))}
        with suppress(OSError):
            save_text(self.path, json.dumps(facts, indent=1) + "\n")


def read_facts(folder: Path) -> dict[str, Any]:
    """Read the facts in a folder; return {} if no facts can be read."""
    try:
        facts = plain_json(bounded_text(folder / NAME))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
