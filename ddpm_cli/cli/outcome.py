"""A command run to its exit code: 0 for success, 1 for an error of the user, 130 for a stop."""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from ddpm_cli.cli.invocation import read_invocation
from ddpm_cli.cli.messages import USER_ERRORS, one_line
from ddpm_cli.cli.sweep_jobs import report_sweep
from ddpm_cli.config import config_dir
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.sweeps import BEGUN, plug_in

LAUNCHERS = ("joblib.", "submitit.")
LOST = "the launcher lost a process, which was killed; jobs beside it may have ended too"


def exit_code(
    config: str, job: Callable[[DictConfig, Invocation], object], *, sweeps: bool = False
) -> int:
    """Compose a configuration and run a job with it, to an exit code.

    Errors of the user are one line; with HYDRA_FULL_ERROR=1 they keep their traceback.
    sweeps: report each sweep that begins when it ends.
    """
    full = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that errors of Hydra's arrive as exceptions
    failures, begun = list[str](), list[Path]()
    BEGUN.set(begun if sweeps else None)

    def run(cfg: DictConfig) -> object:
        folder = Path(HydraConfig.get().runtime.output_dir)
        try:
            return job(cfg, read_invocation(cfg))
        except USER_ERRORS as error:
            if full:
                raise
            failures.append(one_line(error))
            if not getattr(error, "is_echo", False):  # by another process
                print(f"error: {failures[-1]}", file=sys.stderr)
            return None
        finally:
            remove_if_empty(folder)

    code = 0
    try:
        plug_in(sys.argv)
        hydra.main(config_path=str(config_dir()), config_name=config, version_base="1.3")(run)()
    except KeyboardInterrupt:
        code = 130
    except (*USER_ERRORS, RuntimeError) as error:
        lost = isinstance(error, RuntimeError) and type(error).__module__.startswith(LAUNCHERS)
        if full or not (lost or isinstance(error, USER_ERRORS)):
            raise
        code = 1
        print(f"error: {LOST if lost else one_line(error)}", file=sys.stderr)
    finally:
        os.environ["HYDRA_FULL_ERROR"] = str(int(full))
        done = [report_sweep(folder) for folder in begun]
    return code or int(bool(failures) or not all(done))


def remove_if_empty(folder: Path) -> None:
    """Remove an empty folder, and under outputs/ the folder of its day and outputs/ itself."""
    here = Path.cwd()
    if folder in (here, *here.parents):
        return
    with suppress(OSError):
        folder.rmdir()
        if folder.parent.parent.name == "outputs":
            folder.parent.rmdir()
            folder.parent.parent.rmdir()
