"""What a sweep has come to: its jobs by rank, what its options did, its curves, and its samples side by side."""

import logging
import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import partial
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from ddpm_cli.commands.sweep.page import card
from ddpm_cli.commands.sweep.pictures import drawings
from ddpm_cli.commands.sweep.tables import as_csv, lines
from ddpm_cli.config.build import bound
from ddpm_cli.config.schema import check
from ddpm_cli.console import said
from ddpm_cli.files import save_text
from ddpm_cli.run_folder.curves import option
from ddpm_cli.sweeps import Job, again, by_rank, read, save_manifest
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
    check(cfg, (), Options)
    options = bound(Options, cfg)()
    if options.resume is None:
        shown(Path(str(options.show)).expanduser(), options.metric)
        return []
    found = read(Path(options.resume).expanduser().absolute())
    arguments = again(found, trust=options.trust)
    print(printable(f"resumed   {shlex.join(['ddpm-train', *arguments])}"))
    os.chdir(found.cwd)
    return arguments


def shown(folder: Path, metric: str | None) -> bool:
    """Says what the sweep in a folder has come to and writes it there; whether all of its jobs are done.

    What the disk does not take is told and breaks no sweep.
    """
    found = read(folder)
    ranked_by = metric or chosen(found.jobs)
    known = dict.fromkeys(name for job in found.jobs for name in (*job.measured, *job.lowest))
    if metric is not None and metric not in known:
        raise ValueError(f"metric must be among {', '.join(known) or 'none'}, but is {metric!r}")
    parts: dict[str, Callable[[Path], object]] = {
        "manifest.json": lambda _: save_manifest(found),
        "table.csv": lambda path: save_text(path, as_csv(found.jobs, ranked_by)),
        **drawings(by_rank(found.jobs, ranked_by)),
        "report.html": partial(card, found, ranked_by),
    }
    with said(None, aloud=True):
        for line in lines(found, ranked_by):
            log.info("%s", printable(line))
        for name, write in parts.items():
            attempt(folder / name, write)
    return bool(found.jobs) and all(job.state == "done" for job in found.jobs)


def attempt(path: Path, write: Callable[[Path], object]) -> None:
    """Has a file written; what does not work is told."""
    try:
        write(path)
        log.info("%s", printable(f"written   {path}"))
    except (OSError, ValueError) as error:
        log.warning("%s", printable(f"warning: cannot write {path}: {error}"))


def chosen(jobs: Sequence[Job]) -> str:
    """The metric that the sweep was for, the loss where no job has it."""
    paths = [path for job in jobs if (path := job.folder / ".hydra/config.yaml").is_file()]
    config = OmegaConf.to_container(OmegaConf.load(paths[0])) if paths else {}
    best = option(config, "trainer.best")
    wanted = best if isinstance(best, str) else "held_out"
    return wanted if any(job.score(wanted) is not None for job in jobs) else "loss"
