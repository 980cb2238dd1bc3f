"""The page of a sweep: report.html in its folder."""

from dataclasses import astuple
from pathlib import Path

from ddpm_cli.commands.sweep.tables import protocol_differences, sort_jobs
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.rendering.html import fit_picture, save_page
from ddpm_cli.run_folder.curves import short_names
from ddpm_cli.run_folder.layout import REPORT
from ddpm_cli.run_folder.pictures import read_pngs
from ddpm_cli.sweeps import Job, Sweep, effects, given_options, resume_command, swept_options

CURVES, CONTACT = "curves.png", "contact.png"
OF_PICTURE = 3_500_000  # the most bytes of each picture in the page


def write_sweep_page(sweep: Sweep, metric: str, path: Path) -> None:
    """Write the page at `path`, with the pictures that lie beside it."""
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
        "commands/sweep/page.html",
        name=sweep.folder.resolve().name,
        metric=metric,
        columns=["job", "state", *short_names(options), *metrics],
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


def job_failure(job: Job) -> str:
    """The state of an unfinished job, in one line."""
    outcome = ": ".join(filter(None, [job.state, job.error]))
    return f"Job {job.number}, {' '.join(job.overrides)}: {outcome}"
