"""The numbers that training runs wrote, and labels that distinguish the runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf

from ddpm_cli.config.overrides import ABSENT, override_value, recipe_of
from ddpm_cli.config.plain_text import bounded_text, plain_yaml
from ddpm_cli.config.schema import option_differences
from ddpm_cli.files import folders_with
from ddpm_cli.run_folder.layout import HYDRA, METRICS
from ddpm_cli.run_folder.rows import metric_rows
from ddpm_cli.text import natural_key


@dataclass(frozen=True)
class Curves:
    """The rows of numbers of a run, and its configuration, which is {} if the file is missing."""

    folder: Path
    config: dict[str, Any]
    rows: list[dict[str, float]]

    @classmethod
    def read(cls, folder: Path) -> "Curves":
        """Read the curves of the run in a folder. Raises ValueError if the run has no rows."""
        rows, config = list(metric_rows(folder)), read_config(folder)
        if not rows:
            raise ValueError(f"{str(folder / METRICS)!r} has no rows")
        return cls(folder, recipe_of(config) if config else {}, rows)

    @property
    def names(self) -> list[str]:
        """The names of the metrics."""
        return list(dict.fromkeys(name for row in self.rows for name in row if name != "step"))

    @property
    def batch_size(self) -> int:
        """The images of a step. Raises ValueError if the configuration lacks the batch size."""
        size = option_value(self.config, "trainer.batch_size")
        if not isinstance(size, int) or not 0 < size < 2**31:
            raise ValueError(
                f"x=images takes trainer.batch_size from {str(config_path(self.folder))!r}, "
                "which does not say it"
            )
        return size

    def points(self, name: str, smooth: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Steps, and means over up to `smooth` values of a metric; a gap is NaN, not averaged."""
        rows = [(row["step"], row[name]) for row in self.rows if name in row]
        steps, values = np.array(rows).reshape(-1, 2).T
        if not rows:
            return steps, values
        known, kernel = ~np.isnan(values), np.ones(min(smooth, len(values)))
        sums, counts = (
            np.convolve(each, kernel)[: len(values)] for each in (np.where(known, values, 0), known)
        )
        return steps, np.where(known, sums / np.maximum(counts, 1), np.nan)


def config_path(folder: Path) -> Path:
    """The path of a run's configuration."""
    return folder / HYDRA / "config.yaml"


def read_config(folder: Path) -> dict[str, Any]:
    """Read the configuration of a run as plain values; return {} if the file is missing.

    Raises ValueError for what no run writes, as aliases.
    """
    path = config_path(folder)
    try:
        config = OmegaConf.to_container(plain_yaml(bounded_text(path)))
    except ValueError as error:
        raise ValueError(f"{str(path)!r} is not the configuration of a run: {error}") from error
    return {str(name): node for name, node in config.items()} if isinstance(config, dict) else {}


def run_folders(path: Path) -> list[Path]:
    """The folder of a run, or the folders of all runs below a folder in numerical order."""
    if not path.is_dir():
        raise ValueError(f"runs must be folders, but there is none at {str(path)!r}")
    if (path / METRICS).is_file():
        return [path]
    runs = sorted(folders_with(path, METRICS), key=lambda run: natural_key(str(run)))
    if not runs:
        raise ValueError(f"there is no {METRICS} in {str(path)!r}, nor in a folder below it")
    return runs


def curve_labels(runs: Sequence[Curves]) -> list[str]:
    """Labels of runs: the options that differ, and the folder's name if labels would be equal."""
    configs = [run.config for run in runs]
    changed = dict.fromkeys(
        key for each in configs for key, *_ in option_differences(configs[0], each)
    )
    keys = [
        key for key in changed if all(option_value(each, key) is not ABSENT for each in configs)
    ]
    words = short_names(keys)
    texts = [
        ", ".join(
            f"{word}={value_text(config, key)}" for word, key in zip(words, keys, strict=True)
        )
        for config in configs
    ]
    folders = [run.folder.resolve().name for run in runs]
    labels = []
    for run, folder, text in zip(runs, folders, texts, strict=True):
        name = folder if folders.count(folder) == 1 else str(run.folder)
        is_enough = text and texts.count(text) == 1
        labels.append(text if is_enough else f"{name}: {text}".removesuffix(": "))
    return labels


def short_names(keys: Sequence[str]) -> list[str]:
    """The last word of each option, or all words if another option ends alike.

    The name of a target's option is that of its node.
    """
    whole = [key.removesuffix("._target_") for key in keys]
    last = [key.rpartition(".")[2] for key in whole]
    return [word if last.count(word) == 1 else key for word, key in zip(last, whole, strict=True)]


def value_text(config: dict[str, Any], key: str) -> str:
    """An option's value as typed; for a target, the last word."""
    value = option_value(config, key)
    return str(value).rpartition(".")[2] if key.endswith("_target_") else override_value(value)


def option_value(config: Any, key: str) -> Any:
    """The value of an option in a plain configuration, by its dotted name; ABSENT if missing."""
    for name in key.split("."):
        config = config.get(name, ABSENT) if isinstance(config, dict) else ABSENT
    return config
