"""The numbers that training runs wrote, and the words that tell the runs apart."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omegaconf import OmegaConf

from ddpm_cli.config.overrides import ABSENT, NOT_THE_RECIPE, override_value
from ddpm_cli.config.values import option_differences
from ddpm_cli.run_folder.rows import metric_rows


@dataclass(frozen=True)
class Curves:
    """What a run wrote: its rows of numbers, and its configuration, {} where there is none."""

    folder: Path
    config: dict[str, Any]
    rows: list[dict[str, float]]

    @classmethod
    def read(cls, folder: Path) -> "Curves":
        """The curves of the run in a folder."""
        path, found = folder / ".hydra/config.yaml", list(metric_rows(folder / "metrics.jsonl"))
        if not found:
            raise ValueError(f"{str(folder / 'metrics.jsonl')!r} has no rows")
        config: Any = OmegaConf.to_container(OmegaConf.load(path)) if path.is_file() else {}
        return cls(
            folder,
            {**config, **NOT_THE_RECIPE} if config and isinstance(config, dict) else {},
            found,
        )

    @property
    def names(self) -> list[str]:
        """The metrics."""
        return list(dict.fromkeys(name for row in self.rows for name in row if name != "step"))

    @property
    def batch_size(self) -> int:
        """The images of a step; ValueError where the configuration does not say."""
        size = option_value(self.config, "trainer.batch_size")
        if not isinstance(size, int) or not 0 < size < 2**31:
            raise ValueError(
                f"x=images takes trainer.batch_size from {str(self.folder / '.hydra/config.yaml')!r}, which does not say it"
            )
        return size

    def points(self, name: str, smooth: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Steps and means over `smooth` values of a metric up to each; a gap is NaN, stays one, and does not count."""
        steps, values = (
            np.array([(row["step"], row[name]) for row in self.rows if name in row])
            .reshape(-1, 2)
            .T
        )
        if not len(steps):
            return steps, values
        there, window = ~np.isnan(values), np.ones(min(smooth, len(values)))
        sums, counts = (
            np.convolve(each, window)[: len(values)] for each in (np.where(there, values, 0), there)
        )
        return steps, np.where(there, sums / np.maximum(counts, 1), np.nan)


def run_folders(path: Path) -> list[Path]:
    """A run's folder, or those of the runs of a sweep, the second before the tenth."""
    if not path.is_dir():
        raise ValueError(f"runs must be folders, but there is none at {str(path)!r}")
    here = path / "metrics.jsonl"
    found = (
        [here]
        if here.is_file()
        else sorted(path.glob("*/metrics.jsonl"), key=lambda each: natural_order(each.parent.name))
    )
    if not found:
        raise ValueError(f"there is no metrics.jsonl in {str(path)!r}, nor in a folder in it")
    return [each.parent for each in found]


def natural_order(name: str) -> list[str | int]:
    """A name with its numbers as numbers."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def curve_labels(runs: Sequence[Curves]) -> list[str]:
    """What differs between the configurations of the runs, after the name of the folder where that does not tell them apart."""
    configs = [run.config for run in runs]
    changed = dict.fromkeys(
        key for each in configs for key, *_ in option_differences(configs[0], each)
    )
    keys = [
        key for key in changed if all(option_value(each, key) is not ABSENT for each in configs)
    ]
    told = [
        ", ".join(
            f"{name}={value_text(each, key)}"
            for key, name in zip(keys, short_names(keys), strict=True)
        )
        for each in configs
    ]
    names = [run.folder.resolve().name for run in runs]
    names = [
        name if names.count(name) == 1 else str(run.folder)
        for name, run in zip(names, runs, strict=True)
    ]
    alone = [bool(text) and told.count(text) == 1 for text in told]
    return [
        text if one else f"{name}: {text}".removesuffix(": ")
        for name, text, one in zip(names, told, alone, strict=True)
    ]


def short_names(keys: Sequence[str]) -> list[str]:
    """The last words of options, all of the words where several end alike; a target goes by the name of its node."""
    whole = [key.removesuffix("._target_") for key in keys]
    last = [key.rpartition(".")[2] for key in whole]
    return [one if last.count(one) == 1 else key for one, key in zip(last, whole, strict=True)]


def value_text(config: dict[str, Any], key: str) -> str:
    """An option's value in words; of a target its last one."""
    value = option_value(config, key)
    return str(value).rpartition(".")[2] if key.endswith("_target_") else override_value(value)


def option_value(config: Any, key: str) -> Any:
    """The value of an option of a plain configuration, by its dotted name."""
    for name in key.split("."):
        config = config.get(name, ABSENT) if isinstance(config, dict) else ABSENT
    return config
