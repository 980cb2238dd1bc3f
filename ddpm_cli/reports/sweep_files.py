"""The files that show a sweep, in its folder: manifest, table, pictures and page."""

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from ddpm_cli.console import fact
from ddpm_cli.files import save_text
from ddpm_cli.reports.sweep_page import write_sweep_page
from ddpm_cli.reports.sweep_pictures import sweep_pictures
from ddpm_cli.reports.sweep_tables import jobs_csv
from ddpm_cli.run_folder.curves import option_value, read_config
from ddpm_cli.run_folder.layout import REPORT
from ddpm_cli.sweeps import MANIFEST, Job, Sweep, by_rank, save_manifest

log = logging.getLogger(__name__)


def write_sweep_files(sweep: Sweep, metric: str) -> None:
    """Write the files and log their paths; a file that cannot be written causes a warning."""
    files: dict[str, Callable[[Path], object]] = {
        MANIFEST: lambda _: save_manifest(sweep),
        "table.csv": lambda path: save_text(path, jobs_csv(sweep.jobs, metric)),
        **sweep_pictures(by_rank(sweep.jobs, metric)),
        REPORT: partial(write_sweep_page, sweep, metric),
    }
    for name, write in files.items():
        path = sweep.folder / name
        try:
            write(path)
            fact("written", path)
        except (OSError, ValueError) as error:
            log.warning("warning: cannot write %s: %s", path, error)


def ranking_metric(jobs: Sequence[Job]) -> str:
    """The metric that the sweep optimizes; the loss if no job has this metric."""
    configs = [config for job in jobs if (config := read_config(job.folder))]
    best = option_value(configs[0], "trainer.best") if configs else None
    metric = best if isinstance(best, str) else "held_out"
    return metric if any(job.score(metric) is not None for job in jobs) else "loss"
