"""Jobs and effects of options as tables, on the screen and as CSV."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import astuple

from ddpm_cli.commands.sweep.page import protocol_differences
from ddpm_cli.run_folder.curves import short_names
from ddpm_cli.sweeps import Job, Sweep, by_rank, effects, given_options, swept_options


def sweep_lines(found: Sweep, metric: str) -> Iterator[str]:
    """The table of jobs by rank, those that are not done below it, and what each option did."""
    jobs, options = by_rank(found.jobs, metric), swept_options(found.jobs)
    columns = [
        metric,
        *(
            name
            for name in dict.fromkeys(name for job in jobs for name in job.measured)
            if name != metric
        ),
    ]
    ranks = [
        [str(rank), str(job.number), *option_texts(job, options), *score_texts(job, columns)]
        for rank, job in enumerate(jobs, 1)
    ]
    yield from ["", *align_columns([["rank", "job", *short_names(options), *columns], *ranks])]
    yield from filter(None, [protocol_differences(jobs)])
    for job in [job for job in found.jobs if job.state != "done"]:
        yield f"job {job.number} {job.state}: {' '.join(option_texts(job, options))}{'; ' * bool(job.error)}{job.error}"
    if len(jobs) > 1:
        each = map(astuple, effects(found.jobs, metric))
        yield from [
            "",
            *align_columns(
                [["option", "value", "jobs", f"mean {metric}", "lowest", "highest"], *each]
            ),
        ]
    yield ""


def option_texts(job: Job, options: Sequence[str]) -> list[str]:
    """What a job says of the options, "-" of those it does not name."""
    return [given_options(job).get(name, "-") for name in options]


def score_texts(job: Job, metrics: Sequence[str]) -> list[float | str]:
    """A job's metrics, "-" where it has none."""
    return [score if (score := job.score(name)) is not None else "-" for name in metrics]


def align_columns(table: Sequence[Sequence[object]]) -> Iterator[str]:
    """Rows in columns."""
    texts = [list(map(short_number, row)) for row in table]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    yield from (
        "  ".join(f"{word:<{width}}" for word, width in zip(row, widths, strict=True)).rstrip()
        for row in texts
    )


def short_number(value: object) -> str:
    """A value in few digits."""
    long = isinstance(value, float) or re.fullmatch(r"-?\d*\.\d{5,}(e-?\d+)?", str(value))
    return f"{float(str(value)):.4g}" if long else str(value)


def jobs_csv(jobs: Sequence[Job], metric: str) -> str:
    """All jobs with all that is known of them, the best first."""
    ranked, options, text = by_rank(jobs, metric), swept_options(jobs), io.StringIO()
    kinds = {"measured": "", "lowest": "lowest_", "last": "last_"}
    numbers = list(
        dict.fromkeys((kind, name) for kind in kinds for job in jobs for name in getattr(job, kind))
    )
    out = csv.writer(text, lineterminator="\n")
    out.writerow(
        [
            "rank",
            "job",
            "state",
            *options,
            "value",
            *(kinds[kind] + name for kind, name in numbers),
            "error",
        ]
    )
    for rank, job in enumerate([*ranked, *(job for job in jobs if job not in ranked)], 1):
        known = [getattr(job, kind).get(name) for kind, name in numbers]
        out.writerow(
            [
                rank if job in ranked else None,
                job.number,
                job.state,
                *option_texts(job, options),
                job.value,
                *known,
                job.error,
            ]
        )
    return text.getvalue()
