"""What the options of a sweep did to a metric."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from ddpm_cli.sweeps.job import Job

UPWARD = (
    "precision",
    "recall",
    "is",
    "images_per_second",
    "tflops",
    "peak_share",
)  # the more the better
MANY, PARTS = 6, 3  # numbers of an option above which they are told by parts


@dataclass(frozen=True)
class Effect:
    """A metric over the jobs in which an option has a value."""

    option: str
    value: str
    jobs: int
    mean: float
    low: float
    high: float


def given_options(job: Job) -> dict[str, str]:
    """The options of a job."""
    return {name: value for name, _, value in (each.partition("=") for each in job.overrides)}


def swept_options(jobs: Sequence[Job]) -> list[str]:
    """The options in which jobs differ."""
    every = [given_options(job) for job in jobs]
    names = dict.fromkeys(name for each in every for name in each)
    return [name for name in names if len({each.get(name) for each in every}) > 1]


def is_upward(metric: str) -> bool:
    """Whether more of a metric is better."""
    return metric.startswith(tuple(f"{each}_" for each in UPWARD)) or metric in UPWARD


def by_rank(jobs: Sequence[Job], metric: str) -> list[Job]:
    """The jobs that are done, the best first, then those without the metric."""
    sign = -1 if is_upward(metric) else 1
    done = [job for job in jobs if job.state == "done"]
    scored = sorted(
        (job for job in done if job.score(metric) is not None),
        key=lambda job: sign * (job.score(metric) or 0),
    )
    return [*scored, *(job for job in done if job.score(metric) is None)]


def effects(jobs: Sequence[Job], metric: str) -> list[Effect]:
    """What each value of each swept option comes to: mean and range of the metric over the jobs that are done with it."""
    scores = [
        (given_options(job), score)
        for job in jobs
        if job.state == "done" and (score := job.score(metric)) is not None
    ]
    found = []
    for option in swept_options(jobs):
        groups: dict[str, list[float]] = {}
        names = value_ranges([options.get(option, "") for options, _ in scores])
        for options, score in scores:
            value = options.get(option, "")
            groups.setdefault(names.get(value, value), []).append(score)
        found += [
            Effect(option, value, len(each), fmean(each), min(each), max(each))
            for value, each in groups.items()
        ]
    return found


def value_ranges(values: Sequence[str]) -> Mapping[str, str]:
    """The part in which each of many numbers lies, named by its ends; {} where they are few or no numbers."""
    try:
        ordered = sorted(set(values), key=float)
    except ValueError:
        return {}
    if len(ordered) <= MANY:
        return {}
    ends = pairwise(round(part * len(ordered) / PARTS) for part in range(PARTS + 1))
    return {
        value: f"{float(ordered[low]):.4g} to {float(ordered[high - 1]):.4g}"
        for low, high in ends
        for value in ordered[low:high]
    }
