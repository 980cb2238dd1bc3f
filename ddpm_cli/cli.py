"""The commands: Hydra composes, `commands` run, and what the user did wrong is told in one line. Imports no torch."""

import os
import shlex
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ddpm_cli.config.targets import ROOMS, config_dir, suggestion
from ddpm_cli.config.values import path_override
from ddpm_cli.run_folder.numbers import last_and_lowest
from ddpm_cli.sweeps import BEGUN, plug_in, run_or_skip_job

LOST = "the launcher lost a process, which was killed; jobs beside it may have ended too"
USER_ERRORS = (ValueError, OSError, HydraException, OmegaConfBaseException, yaml.YAMLError)


def command(path: str) -> Callable[..., Any]:
    """The function of a command by its module and name, imported when it is called: that takes seconds."""
    module, _, name = path.partition(":")
    found: Callable[..., Any] = getattr(import_module(f"ddpm_cli.commands.{module}"), name)
    return found


def train_job(cfg: DictConfig, folder: Path) -> float | None:
    """One training run; of a sweep, one whose state is kept."""
    hydra_cfg = HydraConfig.get()
    if hydra_cfg.mode != RunMode.MULTIRUN:
        return trained(cfg, folder, False)
    plain = hydra_cfg.sweeper._target_.endswith(".BasicSweeper")
    number, overrides = hydra_cfg.job.num, list(hydra_cfg.overrides.task)
    value = run_or_skip_job(
        partial(trained, cfg, folder), folder, number, overrides, worded=one_line, retried=plain
    )
    if value is None and not plain:
        raise ValueError(
            f"job {number} has no {wanted(cfg)} in its metrics.jsonl, which the sweeper needs (see trainer.evaluate_every)"
        )
    return value


def trained(cfg: DictConfig, folder: Path, going_on: bool) -> float | None:
    """Trains, from the last checkpoint where a job goes on; the lowest of the metric that makes a checkpoint the best."""
    hydra_cfg = HydraConfig.get()
    if going_on and any(folder.glob("checkpoints/step_*.pt")):
        cfg.resume = "auto"
    own = [
        f"--config-dir={source.path}"
        for source in hydra_cfg.runtime.config_sources
        if source.provider == "command-line"
    ]
    said = [
        each
        for each in hydra_cfg.overrides.task
        if not each.startswith(("resume=", "trainer.stop_at="))
    ]
    again = shlex.join(
        ["ddpm-train", *own, *said, path_override("hydra.run.dir", folder), "resume=auto"]
    )
    whole = command("train.command:train")(
        cfg, folder, named=named() or going_on, again=again, overrides=hydra_cfg.overrides.task
    )
    if not whole and hydra_cfg.mode == RunMode.MULTIRUN:
        raise KeyboardInterrupt  # a sweep that is stopped starts no other job
    return last_and_lowest(folder / "metrics.jsonl")[1].get(wanted(cfg))


def wanted(cfg: DictConfig) -> str:
    """The metric that makes a checkpoint the best."""
    return str(OmegaConf.select(cfg, "trainer.best", default="held_out"))


def sample_job(cfg: DictConfig, folder: Path) -> None:
    """One sampling run; one that is stopped says so by its exit code."""
    if not command("sample.command:sample")(cfg, folder, named=named()):
        raise KeyboardInterrupt


def evaluate_job(cfg: DictConfig, folder: Path) -> None:
    """One evaluation; one that is stopped says so by its exit code."""
    if not command("evaluate.command:evaluate")(cfg, folder, named=named()):
        raise KeyboardInterrupt


def named() -> bool:
    """Whether the user named the folder."""
    return any(
        each.startswith(("hydra.run.dir=", "hydra.sweep.dir="))
        for each in HydraConfig.get().overrides.hydra
    )


def launch(name: str, job: Callable[[DictConfig, Path], object]) -> None:
    """Runs a command and ends with its exit code."""
    sys.exit(outcome(name, job))


def outcome(name: str, job: Callable[[DictConfig, Path], object]) -> int:
    """Runs a command to its exit code; with HYDRA_FULL_ERROR=1 errors keep their traceback."""
    full = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"
    failures, begun = list[str](), list[Path]()
    BEGUN.set(begun if job is train_job else None)

    def told(cfg: DictConfig) -> object:
        folder = Path(HydraConfig.get().runtime.output_dir)
        try:
            refuse_trust_from_files(cfg)
            return job(cfg, folder)
        except USER_ERRORS as error:
            if full:
                raise
            failures.append(one_line(error))
            if not getattr(error, "told", False):  # by another process
                print(f"error: {failures[-1]}", file=sys.stderr)
            return None
        finally:
            remove_if_empty(folder)

    code = 0
    try:
        plug_in(sys.argv)
        hydra.main(config_path=str(config_dir()), config_name=name, version_base="1.3")(told)()
    except KeyboardInterrupt:
        code = 130
    except (*USER_ERRORS, RuntimeError) as error:
        if full or not (lost(error) or isinstance(error, USER_ERRORS)):
            raise
        code = 1
        print(f"error: {LOST if lost(error) else one_line(error)}", file=sys.stderr)
    finally:
        os.environ["HYDRA_FULL_ERROR"] = str(int(full))
        whole = all(concluded(folder) for folder in begun)
    return code or int(bool(failures) or not whole)


def lost(error: BaseException) -> bool:
    """Whether a launcher lost a process that it had started."""
    return isinstance(error, RuntimeError) and type(error).__module__.startswith(
        ("joblib.", "submitit.")
    )


def concluded(folder: Path) -> bool:
    """Says what a sweep has come to; whether all of its jobs are done."""
    try:
        whole = command("sweep.command:show_sweep")(folder, None)
    except USER_ERRORS as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return False
    if not whole:
        print(f"go on with:\n  {shlex.join(['ddpm-sweep', path_override('resume', folder)])}")
    return bool(whole)


def refuse_trust_from_files(cfg: DictConfig) -> None:
    """Code of the user's own is trusted by the command line alone, never by a YAML file that came from elsewhere."""
    if cfg.get("trust") and not any(
        each.startswith("trust=") for each in HydraConfig.get().overrides.task
    ):
        raise ValueError("trust can be given on the command line only")
    if cfg.get("trust"):
        sys.path.insert(0, os.getcwd())


def remove_if_empty(folder: Path) -> None:
    """Removes a folder into which nothing was written, and under outputs/ the folder of its day and outputs/ itself."""
    here = Path.cwd()
    if folder in (here, *here.parents):
        return
    with suppress(OSError):
        folder.rmdir()
        if folder.parent.parent.name == "outputs":
            folder.parent.rmdir()
            folder.parent.parent.rmdir()


def one_line(error: BaseException) -> str:
    """An error in one line of printable characters; an unknown option or choice with what may have been meant."""
    cause: Any = error.__cause__
    text = " ".join(str(error).split())
    if isinstance(error, MissingConfigException) and error.options:
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        text = f"{group}={choice} is not a choice; {suggestion(choice, list(error.options))}"
    elif (names := getattr(cause, "parent_node", None)) is not None and getattr(
        cause, "key", None
    ) is not None:
        text = f"{cause.full_key} is not an option; {suggestion(cause.full_key, [str(name) for name in names])}"
    elif text.startswith("Could not override") and (group := text.split("'")[1]) in ROOMS:
        text = f"{group} is not an option; {suggestion(group, [])}"
    elif isinstance(error, OverrideParseException):
        text = f"{text.partition(' See ')[0]} (a value with ~, =, brackets or blanks is quoted twice: 'data.path=\"~/photos\"')"
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)[:1000]


train, sample = partial(launch, "train", train_job), partial(launch, "sample", sample_job)
doctor = partial(
    launch, "train", lambda cfg, folder: command("doctor:doctor")(cfg, folder, named=named())
)
compare = partial(
    launch, "compare", lambda cfg, folder: command("compare.command:compare")(cfg, folder)
)
data = partial(launch, "data", lambda cfg, folder: command("data.command:data")(cfg, folder))
evaluate = partial(launch, "eval", evaluate_job)
info, plot = (
    partial(launch, "info", lambda cfg, _: command("info:info")(cfg)),
    partial(launch, "plot", lambda cfg, _: command("plot:plot")(cfg)),
)
report = partial(launch, "report", lambda cfg, _: command("report:report")(cfg))


def sweep() -> None:
    """Shows a sweep, or goes on with it by the command that began it."""
    arguments = list[str]()
    code = outcome("sweep", lambda cfg, _: arguments.extend(command("sweep.command:sweep")(cfg)))
    if arguments:
        sys.argv[1:] = arguments
        code = outcome("train", train_job)
    sys.exit(code)


COMMANDS: dict[str, Callable[[], None]] = {
    "train": train,
    "doctor": doctor,
    "sample": sample,
    "compare": compare,
    "info": info,
    "eval": evaluate,
    "plot": plot,
    "data": data,
    "report": report,
    "sweep": sweep,
}


def main() -> None:
    """`python -m ddpm_cli` with the name of a command."""
    name = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if name not in COMMANDS:
        sys.exit(f"error: the command must be one of {', '.join(COMMANDS)}, but is {name!r}")
    COMMANDS[name]()
