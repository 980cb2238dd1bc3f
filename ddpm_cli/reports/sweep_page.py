"""The page of a sweep: report.html in its folder."""

from dataclasses import astuple
from pathlib import Path

from ddpm_cli.config.invocation import Invocation
from ddpm_cli.rendering.html import fit_picture, save_page
from ddpm_cli.reports.samples import nearest_picture, sample_pictures
from ddpm_cli.reports.speed import speed_text
from ddpm_cli.reports.sweep_tables import protocol_differences, sort_jobs
from ddpm_cli.run_folder.curves import Curves, short_names
from ddpm_cli.run_folder.layout import REPORT
from ddpm_cli.run_folder.pictures import read_pngs
from ddpm_cli.sweeps import (
    Job,
    Sweep,
    by_rank,
    effects,
    given_options,
    resume_command,
    swept_options,
)

CURVES, CONTACT = "curves.png", "contact.png"
FEWEST = 3  # validations that can show an improvement
OF_PICTURE = 3_500_000  # the most bytes of each picture in the page


def write_sweep_page(sweep: Sweep, metric: str, path: Path) -> None:
    """Write the page at `path`, with the pictures that lie beside it."""
    best = next(iter(by_rank(sweep.jobs, metric)), None)
    jobs, options = sort_jobs(sweep.jobs, metric), swept_options(sweep.jobs)
    known = dict.fromkeys(name for job in sweep.jobs for name in (*job.measured, *job.lowest))
    metrics = [metric, *(name for name in known if name != metric)]
    pictures = read_pngs(sweep.folder / name for name in (CURVES, CONTACT))
    small = {each.name: fit_picture(data, OF_PICTURE) for each, data in pictures.items()}
    invocation = Invocation(sweep.folder, overrides=sweep.overrides, config_dir=sweep.config_dir)
    begin, go_on = invocation.sweep_command(sweep.hydra), resume_command(sweep)
    commands = {"Start it anew": begin, "Go on": go_on}
    save_page(
        path,
        "reports/sweep_page.html",
        name=sweep.folder.resolve().name,
        metric=metric,
        outcome=best_job_text(sweep, metric),
        samples=sample_pictures(best.folder) if best else {},
        nearest=nearest_picture(best.folder) if best else None,
        job_columns=["job", "state", *short_names(options), *metrics],
        rows=[
            [
                str(job.number),
                job.state,
                *(given_options(job).get(name, "") for name in options),
                *map(job.score, metrics),
            ]
            for job in jobs
        ],
        links=[
            f"{job.folder.relative_to(sweep.folder)}/{REPORT}" * (job.folder / REPORT).is_file()
            for job in jobs
        ],
        protocol_warning=protocol_differences(sweep.jobs),
        effects=[astuple(each) for each in effects(sweep.jobs, metric)],
        contact=small.get(CONTACT),
        curves=small.get(CURVES),
        failures=[job_failure(job) for job in sweep.jobs if job.state != "done"],
        commands=commands,
    )


def best_job_text(sweep: Sweep, metric: str) -> str:
    """One sentence: the best job, its options, number, time and speed; and how many are done."""
    ranked, options = by_rank(sweep.jobs, metric), swept_options(sweep.jobs)
    done = f"{len(ranked):,} of {len(sweep.jobs):,} jobs are done"
    if not ranked or (score := ranked[0].score(metric)) is None:
        return f"{done}, and none has a {metric}."
    given = given_options(ranked[0])
    values = ", ".join(f"{name}={given[name]}" for name in options if name in given)
    job = f"Job {ranked[0].number}{f' with {values}' * bool(values)} is the best by {metric}"
    course = job_course(ranked[0])
    return f"{job}: {score:.4g}{f', after {course}' * bool(course)}; {done}."


def job_course(job: Job) -> str:
    """The time of a job's steps, its speed, and whether it still improved; "" if unknown."""
    try:
        curves = Curves.read(job.folder)
        speed = speed_text(curves, curves.batch_size)
    except ValueError:
        return ""
    _, losses = curves.points("held_out", 1)
    improves = len(losses) >= FEWEST and losses[-1] == min(losses)
    return f"{speed}, still improving" if speed and improves else speed


def job_failure(job: Job) -> str:
    """The state of an unfinished job, in one line."""
    outcome = ": ".join(filter(None, [job.state, job.error]))
    return f"Job {job.number}, {' '.join(job.overrides)}: {outcome}"
