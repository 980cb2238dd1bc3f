"""What a training run left in its folder beside numbers: lines of its log, rows of any kind, and pictures."""

import re
from pathlib import Path

import yaml
from PIL import Image

LINE = re.compile(r"\S+ \S+ (?P<level>[A-Z]+) \S+: (?P<text>.*)")
SAMPLES = "step_" + "[0-9]" * 8 + ".png"


def said(folder: Path) -> dict[str, str]:
    """What the run said last of itself, by the first word of the line: device, data, schedule, model, length."""
    words = (text.partition(" ") for level, text in logged(folder) if level == "INFO")
    return {name: rest.strip() for name, _, rest in words if rest.startswith(" ")}


def warned(folder: Path) -> list[str]:
    """The warnings and errors of the log, each once."""
    return list(dict.fromkeys(text.removeprefix("warning: ") for level, text in logged(folder) if level in ("WARNING", "ERROR")))


def logged(folder: Path) -> list[tuple[str, str]]:
    """Level and text of every line of the log."""
    path = folder / "train.log"
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    return [(match["level"], match["text"]) for match in map(LINE.fullmatch, lines) if match]


def asked(folder: Path) -> list[str]:
    """The overrides that the run was started with, of equal ones the last; none where they cannot be read."""
    path = folder / ".hydra/overrides.yaml"
    try:
        found = yaml.safe_load(path.read_bytes()) if path.is_file() else []
    except (yaml.YAMLError, ValueError, RecursionError):
        return []
    own = [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
    return [*reversed(dict.fromkeys(reversed(own)))]  # a text that is named a million times is in memory once


def picture_at(path: Path) -> bytes | None:
    """The picture in a file; None where there is none that can be seen."""
    try:
        with Image.open(path, formats=["PNG"]) as opened:
            opened.load()
        return path.read_bytes()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def samples(folder: Path) -> dict[int, Path]:
    """The grids of samples by step."""
    return {int(path.stem.removeprefix("step_")): path for path in sorted((folder / "samples").glob(SAMPLES))}
