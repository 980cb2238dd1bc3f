"""Jobs and effects of options as tables, on the screen and as CSV."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import astuple

from ddpm_cli.files import csv_text
from ddpm_cli.run_folder.curves import short_names
from ddpm_cli.run_folder.evaluations import protocol_warning
from ddpm_cli.sweeps import Job, Sweep, by_rank, effects, given_options, swept_options
from ddpm_cli.text import align, cut_text

LONG = re.compile(r"-?\d*\.\d{5,}(e-?\d+)?")  # a number with many digits
EFFECTS = ("option", "value", "jobs", "mean", "lowest", "highest")


def sweep_lines(sweep: Sweep, metric: str) -> Iterator[str]:
    """The table of jobs by rank, the unfinished jobs, and the effect of each option."""
    jobs, options = by_rank(sweep.jobs, metric), swept_options(sweep.jobs)
    columns = list(dict.fromkeys([metric, *(name for job in jobs for name in job.measured)]))
    rows: list[list[object]] = [["rank", "job", *short_names(options), *columns]]
    for rank, job in enumerate(jobs, 1):
        numbers = ("-" if score is None else score for score in map(job.score, columns))
        rows.append([rank, job.number, *option_texts(job, options), *numbers])
    yield from ["", *align([list(map(short_text, row)) for row in rows])]
    yield from filter(None, [protocol_differences(jobs)])
    for job in sweep.jobs:
        if job.state != "done":
            error = f"; {job.error}" if job.error else ""
            yield f"job {job.number} {job.state}: {' '.join(option_texts(job, options))}{error}"
    if len(jobs) > 1:
        rows = [list(astuple(each)) for each in effects(sweep.jobs, metric)]
        head = [name if name != "mean" else f"mean {metric}" for name in EFFECTS]
        yield from ["", *align([head, *(list(map(short_text, row)) for row in rows)])]
    yield ""


def sort_jobs(jobs: Sequence[Job], metric: str) -> list[Job]:
    """All jobs: the finished jobs by rank, then the others."""
    ranked = by_rank(jobs, metric)
    return [*ranked, *(job for job in jobs if job not in ranked)]


def protocol_differences(jobs: Sequence[Job]) -> str:
    """A warning if the numbers of the jobs are of several protocols; else ''."""
    rows = [
        {"metric": name, "protocol": text} for job in jobs for name, text in job.origins.items()
    ]
    return protocol_warning(rows)


def option_texts(job: Job, options: Sequence[str]) -> list[str]:
    """The values of options in a job; "-" for an option that the job does not set."""
    return [given_options(job).get(name, "-") for name in options]


def short_text(value: object) -> str:
    """The text of a value; a long number is rounded to few digits, and a long text is cut."""
    text = str(value)
    if isinstance(value, float) or LONG.fullmatch(text):
        return f"{float(text):.4g}"
    return cut_text(text)


def jobs_csv(jobs: Sequence[Job], metric: str) -> str:
    """All jobs and all their numbers as CSV, the best first."""
    ranked, options = by_rank(jobs, metric), swept_options(jobs)
    kinds = {"measured": "", "lowest": "lowest_", "last": "last_"}
    numbers = list(
        dict.fromkeys((kind, name) for kind in kinds for job in jobs for name in getattr(job, kind))
    )
    names = [kinds[kind] + name for kind, name in numbers]
    rows: list[list[object]] = [["rank", "job", "state", *options, "value", *names, "error"]]
    for rank, job in enumerate(sort_jobs(jobs, metric), 1):
        rows.append(
            [
                rank if job in ranked else None,
                job.number,
                job.state,
                *option_texts(job, options),
                job.value,
                *(getattr(job, kind).get(name) for kind, name in numbers),
                job.error,
            ]
        )
    return csv_text(rows)
