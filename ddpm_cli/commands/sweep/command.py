"""What a sweep has come to: its jobs by rank, what its options did, its curves, and its samples side by side."""

import logging
import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.commands.sweep.page import write_sweep_page
from ddpm_cli.commands.sweep.pictures import sweep_pictures
from ddpm_cli.commands.sweep.tables import jobs_csv, sweep_lines
from ddpm_cli.config.build import bind_options
from ddpm_cli.config.schema import check_config
from ddpm_cli.console import logging_to
from ddpm_cli.files import save_text
from ddpm_cli.run_folder.curves import option_value
from ddpm_cli.sweeps import Job, by_rank, read_sweep, resume_arguments, save_manifest
from ddpm_cli.text import printable

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """What `ddpm-sweep` takes.

    resume: the folder of a sweep to go on with. show: of one to look at. metric: by which jobs are ranked; None for the one that the sweep
    was for. trust: whether a sweep that goes on may use modules, folders and options of Hydra that its own file alone names.
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


def sweep(cfg: DictConfig) -> list[str]:
    """Shows a sweep; of one to go on with the arguments of `ddpm-train`, in whose folder this process then is."""
    check_config(cfg, (), Options)
    options = bind_options(Options, cfg)()
    if options.resume is None:
        show_sweep(Path(str(options.show)).expanduser(), options.metric)
        return []
    found = read_sweep(Path(options.resume).expanduser().absolute())
    arguments = resume_arguments(found, trust=options.trust)
    print(printable(f"resumed   {shlex.join(['ddpm-train', *arguments])}"))
    os.chdir(found.cwd)
    return arguments


def show_sweep(folder: Path, metric: str | None) -> bool:
    """Says what the sweep in a folder has come to and writes it there; whether all of its jobs are done.

    What the disk does not take is told and breaks no sweep.
    """
    found = read_sweep(folder)
    ranked_by = metric or ranking_metric(found.jobs)
    known = dict.fromkeys(name for job in found.jobs for name in (*job.measured, *job.lowest))
    if metric is not None and metric not in known:
        raise ValueError(f"metric must be among {', '.join(known) or 'none'}, but is {metric!r}")
    parts: dict[str, Callable[[Path], object]] = {
        "manifest.json": lambda _: save_manifest(found),
        "table.csv": lambda path: save_text(path, jobs_csv(found.jobs, ranked_by)),
        **sweep_pictures(by_rank(found.jobs, ranked_by)),
        "report.html": partial(write_sweep_page, found, ranked_by),
    }
    with logging_to(None, aloud=True):
        for line in sweep_lines(found, ranked_by):
            log.info("%s", printable(line))
        for name, write in parts.items():
            write_or_warn(folder / name, write)
    return bool(found.jobs) and all(job.state == "done" for job in found.jobs)


def write_or_warn(path: Path, write: Callable[[Path], object]) -> None:
    """Has a file written; what does not work is told."""
    try:
        write(path)
        log.info("%s", printable(f"written   {path}"))
    except (OSError, ValueError) as error:
        log.warning("%s", printable(f"warning: cannot write {path}: {error}"))


def ranking_metric(jobs: Sequence[Job]) -> str:
    """The metric that the sweep was for, the loss where no job has it."""
    paths = [path for job in jobs if (path := job.folder / ".hydra/config.yaml").is_file()]
    config = OmegaConf.to_container(OmegaConf.load(paths[0])) if paths else {}
    best = option_value(config, "trainer.best")
    wanted = best if isinstance(best, str) else "held_out"
    return wanted if any(job.score(wanted) is not None for job in jobs) else "loss"
