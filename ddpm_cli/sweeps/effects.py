"""The effects of the options of a sweep on a metric."""

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
)  # more is better
MANY, PARTS = 6, 3  # more than MANY numbers of an option are grouped by PARTS of their range


@dataclass(frozen=True)
class Effect:
    """The metric over the jobs that share one value of an option."""

    option: str
    value: str
    jobs: int
    mean: float
    low: float
    high: float


def given_options(job: Job) -> dict[str, str]:
    """The options that a job sets."""
    return {name: value for name, _, value in (each.partition("=") for each in job.overrides)}


def swept_options(jobs: Sequence[Job]) -> list[str]:
    """The options whose values differ between jobs."""
    every = [given_options(job) for job in jobs]
    names = dict.fromkeys(name for each in every for name in each)
    return [name for name in names if len({each.get(name) for each in every}) > 1]


def by_rank(jobs: Sequence[Job], metric: str) -> list[Job]:
    """The finished jobs, the best first; jobs without the metric come last."""
    is_upward = metric in UPWARD or metric.startswith(tuple(f"{each}_" for each in UPWARD))

    def rank(job: Job) -> tuple[bool, float]:
        score = job.score(metric)
        return score is None, (-score if is_upward else score) if score is not None else 0

    return sorted((job for job in jobs if job.state == "done"), key=rank)


def effects(jobs: Sequence[Job], metric: str) -> list[Effect]:
    """Mean and range of the metric over the finished jobs with each value of each swept option."""
    scores = [
        (given_options(job), score)
        for job in jobs
        if job.state == "done" and (score := job.score(metric)) is not None
    ]
    results = []
    for option in swept_options(jobs):
        groups: dict[str, list[float]] = {}
        ranges = value_ranges([options.get(option, "") for options, _ in scores])
        for options, score in scores:
            value = options.get(option, "")
            groups.setdefault(ranges.get(value, value), []).append(score)
        results += [
            Effect(option, value, len(each), fmean(each), min(each), max(each))
            for value, each in groups.items()
        ]
    return results


def value_ranges(values: Sequence[str]) -> Mapping[str, str]:
    """The part of the range that holds each of many numbers; {} for few values or for words."""
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
