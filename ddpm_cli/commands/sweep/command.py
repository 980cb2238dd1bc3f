"""The results of a sweep: jobs by rank, effects of options, curves, and samples side by side."""

import logging
import os
import shlex
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from omegaconf import DictConfig

from ddpm_cli.config.invocation import Invocation
from ddpm_cli.config.schema import parse_options
from ddpm_cli.console import logging_to, printable
from ddpm_cli.files import user_path
from ddpm_cli.reports.sweep_files import ranking_metric, write_sweep_files
from ddpm_cli.reports.sweep_tables import sweep_lines
from ddpm_cli.sweeps import read_sweep, resume_arguments

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
    with logging_to(None, aloud=True):
        for line in sweep_lines(current, best):
            log.info("%s", line)
        write_sweep_files(current, best)
    return bool(jobs) and all(job.state == "done" for job in jobs)
