"""The options of ddpm-tune."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

from ddpm_cli.commands.tune.variant import COORDINATES, Steps
from ddpm_cli.config.schema import at_least, at_most
from ddpm_cli.evaluation.metric_registry import full_names
from ddpm_cli.seeds import MAX_IMAGES, check_seed

FAMILIES = ("fd", "kid")  # metrics that are means over images to first order
BUDGET = re.compile(r"(\d+(?:\.\d+)?) ?(s|min|h)")
SECONDS = {"s": 1, "min": 60, "h": 3600}


@dataclass(frozen=True)
class Options:
    """The options of `ddpm-tune`, apart from its data and the options that all settings share.

    run: the folder of a run, or a checkpoint. lengths, guidance, guiders, intervals, samplers,
    steps: the values to try. guide: a weaker checkpoint. measure: the metric, fd or kid of any
    features. n: images of every setting. budget: minutes, or a number with s, min or h. batch:
    images at a time. seed: of the noise. device: auto, cpu, cuda, cuda:N or mps. columns: columns
    of the contact sheet. trust: the user's own modules that targets may name.
    """

    _: KW_ONLY
    run: str
    lengths: list[float]
    guidance: list[float]
    guiders: list[str]
    intervals: list[list[float] | None]
    samplers: list[str]
    steps: list[Steps]
    guide: str | None
    measure: str
    n: int
    budget: float | str
    batch: int
    seed: int
    device: str
    columns: int
    trust: list[str]

    def __post_init__(self) -> None:
        check_seed(self.seed)
        at_least(self, n=40, batch=1, columns=1)
        at_most(self, n=MAX_IMAGES // 2)
        family = full_names([self.measure])[0].partition("_")[0]
        if family not in FAMILIES:
            raise ValueError(f"measure must be fd or kid of features, but is {self.measure!r}")
        if not self.values:
            raise ValueError(f"{', '.join(COORDINATES)} are all empty: nothing would be tried")
        for scale in self.guidance:
            if scale < 0:
                raise ValueError(f"guidance must be at least 0, but one is {scale:g}")
        for ends in self.intervals:
            if ends is not None and not (len(ends) == 2 and 0 <= ends[0] < ends[1]):
                raise ValueError(
                    f"intervals must be [low, high] with 0 <= low < high, but one is {ends}"
                )
        if not self.seconds > 0:
            raise ValueError(f"budget must be positive, but is {self.budget}")

    @property
    def values(self) -> dict[str, list[Any]]:
        """The values of every coordinate that has any, in the order of the search."""
        intervals = [None if ends is None else (ends[0], ends[1]) for ends in self.intervals]
        scales = [float(scale) for scale in self.guidance]
        lists: Mapping[str, Sequence[Any]] = {
            "lengths": self.lengths,
            "guidance": scales,
            "guiders": self.guiders,
            "intervals": intervals,
            "samplers": self.samplers,
            "steps": self.steps,
        }
        return {name: [*each] for name, each in lists.items() if each}

    @property
    def seconds(self) -> float:
        """The budget in seconds. Raises ValueError if it is no time."""
        if isinstance(self.budget, int | float):
            return 60.0 * self.budget
        if not (match := BUDGET.fullmatch(self.budget)):
            rule = "budget must be minutes, or a number with s, min or h, as 60min"
            raise ValueError(f"{rule}, but is {self.budget!r}")
        return float(match[1]) * SECONDS[match[2]]
