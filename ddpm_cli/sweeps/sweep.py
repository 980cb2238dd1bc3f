"""A sweep: its folder holds the command that began it, and its jobs."""

import json
import os
import re
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from ddpm_cli.config.invocation import Invocation
from ddpm_cli.files import load_text, save_text
from ddpm_cli.sweeps.job import STATE, Job, is_first_process, is_running

COMMAND, MANIFEST = "sweep.json", "manifest.json"
OWN = ("hydra.sweep.dir=", "hydra.mode=")  # set anew whenever a sweep is resumed
NUMBER = r"[-+]?\d[\d.]*(e[-+]?\d+)?"
ELSEWHERE = re.compile(r"[^=.@]*(@[^=]*)?=.*(\.\.|\$)", re.DOTALL)  # a choice outside its folder
HARMLESS = re.compile(
    r"hydra/(launcher|sweeper|sweeper/sampler)=\w+"
    rf"|hydra\.(launcher|sweeper)\.[\w.]+=({NUMBER}|null|true|false)"
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
        """Refuse another sweep's folder by SystemExit, because Hydra only warns of other errors."""
        begun = BEGUN.get()
        if begun is None or not is_first_process():
            return
        sweep = sweep_of_config(config)
        try:
            before = read_sweep(sweep.folder) if (sweep.folder / COMMAND).exists() else sweep
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


def read_sweep(folder: Path) -> Sweep:
    """Read the sweep in a folder, with its jobs. Raises ValueError if there is no sweep."""
    path = folder / COMMAND
    if not path.is_file():
        raise ValueError(f"there is no sweep in {str(folder)!r}: it has no {COMMAND}")
    try:
        content = json.loads(load_text(path))
        typed = {name: [str(each) for each in content[name]] for name in ("overrides", "hydra")}
        own, cwd = content["config_dir"], str(content["cwd"])
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise ValueError(f"{str(path)!r} is not the command of a sweep") from error
    jobs = []
    for each in folder.glob(f"*/{STATE}"):
        if job := Job.read(each.parent):
            is_killed = job.state == "running" and not is_running(job.folder)
            jobs.append(replace(job, state="killed") if is_killed else job)
    jobs.sort(key=lambda job: job.number)
    return Sweep(folder, **typed, config_dir=own and str(own), cwd=cwd, jobs=jobs)


def save_manifest(sweep: Sweep) -> None:
    """Write the command and the state of all jobs."""
    jobs = [{"folder": job.folder.name, **job.content()} for job in sweep.jobs]
    content = {"overrides": sweep.overrides, "hydra": sweep.hydra, "jobs": jobs}
    save_text(sweep.folder / MANIFEST, json.dumps(content, indent=1) + "\n")


def resume_command(sweep: Sweep) -> str:
    """The command that resumes a sweep."""
    return Invocation(sweep.folder).resume_sweep_command(trusted=bool(doubts(sweep)))


def doubts(sweep: Sweep) -> list[str]:
    """The overrides that only the file names and that may run code or act in another folder."""
    typed = [*sweep.overrides, *sweep.hydra]
    words = {each: {*re.split(r"\W+", each.partition("=")[0])} for each in typed}
    special = [each for each in typed if {"hydra", "trust"} & words[each]]
    doubtful = [each for each in special if not HARMLESS.fullmatch(each)]
    doubtful += [each for each in typed if ELSEWHERE.match(each)]
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
