"""Measurements on disk: a file for each setting, which a search that goes on reads."""

import hashlib
import logging
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ddpm_cli.config.plain_text import bounded_text
from ddpm_cli.files import save_text, write_atomically
from ddpm_cli.metrics import Score
from ddpm_cli.shapes import Bytes

FOLDER, SETUP = "measurements", "setup.txt"
DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)
NUMBERS = ("value", "drawing", "extracting")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Measurement:
    """The score of a setting, its cost in seconds, and the first of its images."""

    score: Score
    drawing: float
    extracting: float
    images: Bytes

    @property
    def seconds(self) -> float:
        """The seconds of drawing and measuring."""
        return self.drawing + self.extracting


@dataclass(frozen=True)
class MeasurementStore:
    """The folder of measurements. A measurement counts for a text that says how it was made."""

    folder: Path

    def path(self, text: str) -> Path:
        """The file of a measurement."""
        name = hashlib.blake2b(text.encode(), digest_size=12).hexdigest()
        return self.folder / FOLDER / f"{name}.npz"

    def write(self, text: str, measurement: Measurement) -> None:
        """Write a measurement, whole or not at all."""
        score = measurement.score
        arrays: Mapping[str, Any] = {
            "text": np.array(text),
            "value": score.value,
            "influences": score.influences.numpy(),
            "left_out": score.left_out.numpy(),
            "drawing": measurement.drawing,
            "extracting": measurement.extracting,
            "images": measurement.images.numpy(),
        }
        write_atomically(self.path(text), lambda path: save_arrays(path, arrays))

    def read(self, text: str) -> Measurement | None:
        """Read a measurement; None if there is none, or if its file is damaged or of another."""
        path = self.path(text)
        if not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as file:
                if str(file["text"]) != text:
                    raise ValueError("it is of another setting")
                numbers = {name: float(file[name]) for name in NUMBERS}
                score = Score(
                    numbers.pop("value"),
                    torch.from_numpy(file["influences"]),
                    torch.from_numpy(file["left_out"]),
                )
                return Measurement(score, **numbers, images=torch.from_numpy(file["images"]))
        except DAMAGE as error:
            log.warning(
                "warning: %s is damaged (%s), and the setting is measured anew", path, error
            )
            return None

    def setup_seconds(self, seconds: float) -> float:
        """The seconds before the first measurement, of a search that goes on as of its start."""
        path = self.folder / FOLDER / SETUP
        with suppress(ValueError):
            return float(bounded_text(path, 100))
        save_text(path, f"{seconds}\n")
        return seconds


def save_arrays(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write arrays into a file of exactly this path."""
    with path.open("wb") as file:
        np.savez(file, **arrays)
