"""What a run said of itself: lines of its log."""

import re
from pathlib import Path

LINE = re.compile(r"\S+ \S+ (?P<level>[A-Z]+) \S+: (?P<text>.*)")


def log_facts(folder: Path) -> dict[str, str]:
    """What the run said last of itself, by the first word of the line: device, data, schedule, model, length."""
    words = (text.partition(" ") for level, text in log_lines(folder) if level == "INFO")
    return {name: rest.strip() for name, _, rest in words if rest.startswith(" ")}


def log_warnings(folder: Path) -> list[str]:
    """The warnings and errors of the log, each once."""
    return list(
        dict.fromkeys(
            text.removeprefix("warning: ")
            for level, text in log_lines(folder)
            if level in ("WARNING", "ERROR")
        )
    )


def log_lines(folder: Path) -> list[tuple[str, str]]:
    """Level and text of every line of the log."""
    path = folder / "train.log"
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    return [(match["level"], match["text"]) for match in map(LINE.fullmatch, lines) if match]
