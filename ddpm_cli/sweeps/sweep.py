"""A sweep: its folder holds the command that began it, and its jobs."""

import json
import os
import re
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, ListConfig, OmegaConf

from ddpm_cli.config.invocation import Invocation
from ddpm_cli.config.plain_text import bounded_text, plain_json
from ddpm_cli.config.recipe import is_recipe
from ddpm_cli.config.values import yaml_text
from ddpm_cli.files import save_text
from ddpm_cli.sweeps.effects import given_options
from ddpm_cli.sweeps.job import Job, is_first_process, is_running, read_jobs, short_texts

COMMAND, MANIFEST = "sweep.json", "manifest.json"
OWN = ("hydra.sweep.dir=", "hydra.mode=")  # set anew whenever a sweep is resumed
MOST_JOBS, MOST_COLUMNS = 10_000, 500  # of a sweep; of its table: options and metrics
LAUNCHER = (
    "n_jobs batch_size verbose timeout_min signal_delay_s max_num_timeout array_parallelism "
    "cpus_per_task gpus_per_node mem_gb tasks_per_node nodes"
)
SWEEPER = "n_trials n_jobs max_failure_rate max_batch_size sampler.seed sampler.n_startup_trials"
NAMES = [f"launcher.{each}" for each in LAUNCHER.split()]
NAMES += [f"sweeper.{each}" for each in SWEEPER.split()]
OF_HYDRA = re.compile(  # what a sweep's own file may say of Hydra: choices by name, and numbers
    r"hydra/(launcher|sweeper|sweeper/sampler)=\w+"
    rf"|hydra\.({'|'.join(map(re.escape, NAMES))})=([-+]?\d[\d.]*(e[-+]?\d+)?|null|true|false)"
    r"|hydra\.sweeper\.direction=minimize"
)
BEGUN: ContextVar[list[Path] | None] = ContextVar(
    "folders of sweeps; None: no record", default=None
)


@dataclass(frozen=True)
class Sweep:
    """A sweep, and its jobs so far.

    overrides, hydra: overrides of the configuration, and of Hydra's own configuration, as typed.
    config_dir: the folder of the user's own YAML files. cwd: the folder where the sweep began.
    """

    folder: Path
    overrides: list[str]
    hydra: list[str]
    config_dir: str | None
    cwd: str
    jobs: list[Job]


class Started(Callback):
    """A callback of Hydra that writes a sweep's command into its folder before its jobs begin."""

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Refuse a search that no job can serve, and another sweep's folder.

        A refusal is a SystemExit, because Hydra only warns of other errors.
        """
        check_direction(config)
        begun = BEGUN.get()
        if begun is None or not is_first_process():
            return
        sweep = sweep_of_config(config)
        try:
            before = read_sweep(sweep.folder) if is_sweep(sweep.folder) else sweep
        except ValueError as error:
            raise SystemExit(f"error: {error}") from error
        if before.overrides != sweep.overrides:
            raise SystemExit(
                f"error: {str(sweep.folder)!r} holds another command's sweep (see its {COMMAND}); "
                "name another folder"
            )
        if running := [job.number for job in before.jobs if job.state == "running"]:
            raise SystemExit(
                f"error: job {running[0]} of the sweep is running in another process; "
                "go on once it has ended"
            )
        begun.append(sweep.folder)
        save_command(sweep)


def check_direction(config: DictConfig) -> None:
    """Refuse a search by Optuna that does not minimize the one number of a job."""
    asked = OmegaConf.select(config, "hydra.sweeper.direction", default="minimize")
    if (asked if isinstance(asked, ListConfig) else [asked]) != ["minimize"]:
        best = OmegaConf.select(config, "trainer.best")
        raise SystemExit(
            "error: hydra.sweeper.direction must be minimize, because a job returns one number, "
            f"the lowest {best} (trainer.best), but is {yaml_text(asked)}"
        )


def sweep_of_config(config: DictConfig) -> Sweep:
    """The sweep of a configuration, before its first job."""
    typed: Any = OmegaConf.to_container(config.hydra.overrides, resolve=False)  # with ${} and all
    sources = config.hydra.runtime.config_sources
    own = [str(each.path) for each in sources if each.provider == "command-line"]
    hydra = [each for each in typed["hydra"] if not each.startswith(OWN)]
    folder = Path(config.hydra.sweep.dir).absolute()
    return Sweep(folder, typed["task"], hydra, next(iter(own), None), os.getcwd(), [])


def save_command(sweep: Sweep) -> None:
    """Write a sweep's command."""
    content = {
        name: value for name, value in asdict(sweep).items() if name not in ("folder", "jobs")
    }
    save_text(sweep.folder / COMMAND, json.dumps(content, indent=1) + "\n")


def is_sweep(folder: Path) -> bool:
    """Whether a folder is that of a sweep."""
    return (folder / COMMAND).is_file()


def read_sweep(folder: Path) -> Sweep:
    """Read the sweep in a folder, with its jobs. Raises ValueError if there is no sweep."""
    path = folder / COMMAND
    if not is_sweep(folder):
        raise ValueError(f"there is no sweep in {str(folder)!r}: it has no {COMMAND}")
    try:
        content = plain_json(bounded_text(path))
        typed = {name: short_texts(content[name]) for name in ("overrides", "hydra")}
        own, cwd = content["config_dir"], str(content["cwd"])
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"{str(path)!r} is not the command of a sweep") from error
    jobs = [
        replace(job, state="killed")
        if job.state == "running" and not is_running(job.folder)
        else job
        for job in read_jobs(folder)
    ]
    check_size(folder, jobs)
    return Sweep(folder, **typed, config_dir=own and str(own), cwd=cwd, jobs=jobs)


def check_size(folder: Path, jobs: Sequence[Job]) -> None:
    """Refuse more jobs, options and metrics than a table can show."""
    columns = {name for job in jobs for name in (*given_options(job), *job.lowest, *job.measured)}
    for name, count, most in (
        ("jobs", len(jobs), MOST_JOBS),
        ("options and metrics", len(columns), MOST_COLUMNS),
    ):
        if count > most:
            raise ValueError(f"{str(folder)!r} has {count:,} {name}; a sweep has at most {most:,}")


def save_manifest(sweep: Sweep) -> None:
    """Write the command and the state of all jobs."""
    folders = [job.folder.relative_to(sweep.folder).as_posix() for job in sweep.jobs]
    jobs = [
        {"folder": folder, **job.content()} for folder, job in zip(folders, sweep.jobs, strict=True)
    ]
    content = {"overrides": sweep.overrides, "hydra": sweep.hydra, "jobs": jobs}
    save_text(sweep.folder / MANIFEST, json.dumps(content, indent=1) + "\n")


def resume_command(sweep: Sweep) -> str:
    """The command that resumes a sweep."""
    return Invocation(sweep.folder).resume_sweep_command(trusted=bool(doubts(sweep)))


def doubts(sweep: Sweep) -> list[str]:
    """The parts of the command that need trust.

    Choices, options of groups, the seed, and a few options of Hydra need none.
    """
    typed = [*sweep.overrides, *sweep.hydra]
    doubtful = [each for each in typed if not (is_recipe(each) or OF_HYDRA.fullmatch(each))]
    doubtful += [f"--config-dir={sweep.config_dir}"] * (sweep.config_dir is not None)
    return doubtful + [f"to run in {sweep.cwd!r}"] * (sweep.cwd != os.getcwd())


def resume_arguments(sweep: Sweep, *, trust: bool) -> list[str]:
    """The arguments of `ddpm-train` that resume a sweep.

    Raises ValueError for doubtful overrides without `trust`.
    """
    typed = [*sweep.overrides, *sweep.hydra]
    if flags := [each for each in typed if each.startswith("-")]:
        raise ValueError(f"{COMMAND} must hold overrides, but {flags[0]!r} is none")
    if (doubtful := doubts(sweep)) and not trust:
        why = f"the sweep's command says what {COMMAND} alone is not trusted with"
        raise ValueError(f"{why}; if it is yours, add trust=true: {doubtful}")
    own = [f"--config-dir={sweep.config_dir}"] * (sweep.config_dir is not None)
    folder = json.dumps(str(sweep.folder.absolute()), ensure_ascii=False)
    return [*own, "-m", *typed, f"hydra.sweep.dir={folder}"]
