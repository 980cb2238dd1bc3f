"""The results of a sweep: jobs by rank, effects of options, curves, and samples side by side."""

import logging
import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from ddpm_cli.commands.sweep.page import write_sweep_page
from ddpm_cli.commands.sweep.pictures import sweep_pictures
from ddpm_cli.commands.sweep.tables import jobs_csv, sweep_lines
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.config.schema import parse_options
from ddpm_cli.console import fact, logging_to, printable
from ddpm_cli.files import save_text, user_path
from ddpm_cli.run_folder.curves import option_value, read_config
from ddpm_cli.sweeps import MANIFEST, Job, by_rank, read_sweep, resume_arguments, save_manifest

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """The options of `ddpm-sweep`.

    resume: the folder of a sweep to go on with. show: the folder of a sweep to show. metric: the
    metric that ranks the jobs; None: the metric that the sweep optimizes. trust: whether a resumed
    sweep may use modules, folders and options of Hydra that only its own file names.
    """

    _: KW_ONLY
    resume: str | None
    show: str | None
    metric: str | None
    trust: bool

    def __post_init__(self) -> None:
        if (self.resume is None) == (self.show is None):
            raise ValueError("one of resume=FOLDER and show=FOLDER must be given")
        if self.resume is not None and self.metric is not None:
            raise ValueError("metric goes with show=FOLDER")


def sweep(cfg: DictConfig, _: Invocation) -> list[str]:
    """Show a sweep, or return the arguments of `ddpm-train` that resume a sweep.

    To resume, this process changes into the folder where the sweep began.
    """
    options = parse_options(cfg, Options)
    if options.resume is None:
        show_sweep(user_path(str(options.show)), options.metric)
        return []
    begun = read_sweep(user_path(options.resume).absolute())
    arguments = resume_arguments(begun, trust=options.trust)
    print(printable(f"resumed   {shlex.join(['ddpm-train', *arguments])}"))
    os.chdir(begun.cwd)
    return arguments


def show_sweep(folder: Path, metric: str | None) -> bool:
    """Log the results of a sweep and write them into its folder; return whether all jobs are done.

    A file that cannot be written causes a warning.
    """
    current = read_sweep(folder)
    jobs = current.jobs
    known = dict.fromkeys(name for job in jobs for name in (*job.measured, *job.lowest))
    if metric is not None and metric not in known:
        raise ValueError(f"metric must be among {', '.join(known) or 'none'}, but is {metric!r}")
    best = metric or ranking_metric(jobs)
    files: dict[str, Callable[[Path], object]] = {
        MANIFEST: lambda _: save_manifest(current),
        "table.csv": lambda path: save_text(path, jobs_csv(jobs, best)),
        **sweep_pictures(by_rank(jobs, best)),
        "report.html": partial(write_sweep_page, current, best),
    }
    with logging_to(None, aloud=True):
        for line in sweep_lines(current, best):
            log.info("%s", line)
        for name, write in files.items():
            try:
                write(folder / name)
                fact("written", folder / name)
            except (OSError, ValueError) as error:
                log.warning("warning: cannot write %s: %s", folder / name, error)
    return bool(jobs) and all(job.state == "done" for job in jobs)


def ranking_metric(jobs: Sequence[Job]) -> str:
    """The metric that the sweep optimizes; the loss if no job has this metric."""
    configs = [config for job in jobs if (config := read_config(job.folder))]
    best = option_value(configs[0], "trainer.best") if configs else None
    metric = best if isinstance(best, str) else "held_out"
    return metric if any(job.score(metric) is not None for job in jobs) else "loss"
