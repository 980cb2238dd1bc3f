"""The card of a sweep: one page, `report.html` in its folder, with its jobs in a table that can be sorted."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from pathlib import Path

from ddpm_cli.config.values import path_override
from ddpm_cli.files import write_atomically
from ddpm_cli.rendering.html import Cell, Markup, Section, element, page, table
from ddpm_cli.reports.run_sections import shown
from ddpm_cli.run_folder.curves import short_names
from ddpm_cli.run_folder.evaluations import protocol_warning
from ddpm_cli.sweeps import Job, Sweep, by_rank, effects, given_options, swept_options

OF_PICTURE = 3_500_000  # bytes of each of the two pictures in the page
CONTACT = "The last samples of every job, from the same noise where the seed is the same."
CURVES = "The curves of all jobs together."


def write_sweep_page(found: Sweep, metric: str, path: Path) -> None:
    """Writes the page, with the pictures that lie beside it."""
    sections = [
        Section(
            "Jobs",
            [
                jobs_table(found, metric),
                *(element("p", f"{told}.") for told in [protocol_differences(found.jobs)] if told),
            ],
        ),
        Section("What each option did", effects_table(found.jobs, metric)),
        Section("Samples side by side", shown(found.folder / "contact.png", CONTACT, OF_PICTURE)),
        Section("Curves", shown(found.folder / "curves.png", CURVES, OF_PICTURE)),
        Section("What went wrong", list(failed_jobs(found.jobs))),
        Section("How to do it again", list(sweep_commands(found))),
    ]
    text = page(f"Sweep {found.folder.resolve().name}", sections)
    write_atomically(path, lambda partial: partial.write_bytes(text.encode()))


def jobs_table(found: Sweep, metric: str) -> Markup:
    """A row for every job: what it was asked for, what it came to, and the way to its own page."""
    options, ranked = swept_options(found.jobs), by_rank(found.jobs, metric)
    names = list(
        dict.fromkeys(
            [metric, *(name for job in found.jobs for name in (*job.measured, *job.lowest))]
        )
    )
    jobs = [*ranked, *(job for job in found.jobs if job not in ranked)]
    rows = [
        [
            job_link(job),
            job.state,
            *(given_options(job).get(each, "") for each in options),
            *map(job.score, names),
        ]
        for job in jobs
    ]
    caption = f"Jobs by {metric}, the best first: each number is the last evaluation's, else the lowest of the run's rows"
    return table(
        ["job", "state", *short_names(options), *names], rows, caption=caption, sortable=True
    )


def job_link(job: Job) -> Cell:
    """A job's number, which leads to its page where it has one."""
    there = (job.folder / "report.html").is_file()
    return (
        element("a", str(job.number), href=f"{job.folder.name}/report.html")
        if there
        else str(job.number)
    )


def protocol_differences(jobs: Sequence[Job]) -> str:
    """What is to be said where numbers of the jobs are of several protocols; else ''."""
    return protocol_warning([way for job in jobs for way in job.ways()])


def effects_table(jobs: Sequence[Job], metric: str) -> list[Markup]:
    """Mean and range of the metric over the jobs with each value of an option."""
    rows = [astuple(each) for each in effects(jobs, metric)]
    caption = f"{metric} over the jobs that are done"
    return (
        [
            table(
                ["option", "value", "jobs", "mean", "lowest", "highest"],
                rows,
                caption=caption,
                sortable=True,
            )
        ]
        if rows
        else []
    )


def failed_jobs(jobs: Sequence[Job]) -> Iterator[Markup]:
    """The jobs that are not done, each with the first line of its error."""
    failed = [job for job in jobs if job.state != "done"]
    told = [
        f"Job {job.number}, {' '.join(job.overrides)}: {job.state}{': ' * bool(job.error)}{job.error}"
        for job in failed
    ]
    yield (
        element("ul", *[element("li", each) for each in told])
        if told
        else element("p", "All jobs are done.")
    )


def sweep_commands(found: Sweep) -> Iterator[Markup]:
    """The command that began it, and the one that goes on."""
    own = [f"--config-dir={found.config_dir}"] * (found.config_dir is not None)
    anew = ["ddpm-train", *own, "-m", *found.overrides, *found.hydra]
    for told, words in {
        "Start it anew": anew,
        "Go on": ["ddpm-sweep", path_override("resume", found.folder)],
    }.items():
        yield element("p", f"{told}:")
        yield element("pre", element("code", shlex.join(words)))
