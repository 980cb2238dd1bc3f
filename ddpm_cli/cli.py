"""The commands: Hydra composes, `runs` runs, and what the user did wrong is told in one line. Imports no torch."""

import logging
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from ddpm_cli.config import config_dir, suggestion

USER_ERRORS = (ValueError, OSError, HydraException, OmegaConfBaseException)


def main() -> None:
    """`python -m ddpm_cli train|sample ...`."""
    commands = {"train": train, "sample": sample}
    name = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if name not in commands:
        sys.exit(f"error: the command must be one of {', '.join(commands)}, but is {name!r}")
    commands[name]()


def train() -> None:
    """`ddpm-train`."""
    launch("train", train_job)


def sample() -> None:
    """`ddpm-sample`."""
    launch("sample", sample_job)


def train_job(cfg: DictConfig, folder: Path) -> None:
    """One training run; a sweep that is stopped starts no other."""
    from ddpm_cli.runs import train

    overrides, mode = HydraConfig.get().overrides, HydraConfig.get().mode
    named = any(each.startswith(("hydra.run.dir=", "hydra.sweep.dir=")) for each in overrides.hydra)
    kept = [each for each in overrides.task if not each.startswith(("resume=", "trainer.stop_at="))]
    again = shlex.join(["ddpm-train", *kept, f"hydra.run.dir={folder}", "resume=auto"])
    if not train(cfg, folder, named=named, again=again) and mode == RunMode.MULTIRUN:
        raise KeyboardInterrupt


def sample_job(cfg: DictConfig, folder: Path) -> None:
    """One sampling run."""
    from ddpm_cli.runs import sample

    sample(cfg, folder)


def launch(name: str, job: Callable[[DictConfig, Path], None]) -> None:
    """Runs a command to its exit code; with HYDRA_FULL_ERROR=1 errors keep their traceback."""
    full = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"
    failures: list[str] = []

    def told(cfg: DictConfig) -> None:
        folder = Path(HydraConfig.get().runtime.output_dir)
        try:
            refuse_trust_from_files(cfg)
            job(cfg, folder)
        except USER_ERRORS as error:
            if full:
                raise
            remove_if_unused(folder)
            failures.append(one_line(error))
            print(f"error: {failures[-1]}", file=sys.stderr)

    try:
        hydra.main(config_path=str(config_dir()), config_name=name, version_base="1.3")(told)()
    except KeyboardInterrupt:
        sys.exit(130)
    except USER_ERRORS as error:
        if full:
            raise
        sys.exit(f"error: {one_line(error)}")
    sys.exit(1 if failures else 0)


def refuse_trust_from_files(cfg: DictConfig) -> None:
    """Code of the user's own is trusted by the command line alone, never by a YAML file that came from elsewhere."""
    if cfg.get("trust") and not any(each.startswith("trust=") for each in HydraConfig.get().overrides.task):
        raise ValueError("trust can be given on the command line only")
    if cfg.get("trust"):
        sys.path.insert(0, os.getcwd())


def remove_if_unused(folder: Path) -> None:
    """Removes a folder in which Hydra alone has written."""
    foreign = [path for path in folder.iterdir() if path.name != ".hydra" and (path.is_dir() or path.stat().st_size)]
    if not foreign:
        logging.shutdown()
        shutil.rmtree(folder)


def one_line(error: BaseException) -> str:
    """An error in one line; an unknown option or choice with what may have been meant."""
    cause: Any = error.__cause__
    if isinstance(error, MissingConfigException) and error.options:
        group, _, choice = str(error.missing_cfg_file).rpartition("/")
        return f"{group}={choice} is not a choice; {suggestion(choice, list(error.options))}"
    names = getattr(cause, "parent_node", None)
    if names is not None and getattr(cause, "key", None) is not None:
        return f"{cause.full_key} is not an option; {suggestion(cause.full_key, [str(name) for name in names])}"
    return " ".join(str(error).split())
