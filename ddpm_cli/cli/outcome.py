"""Run a command to its exit code: 0 for success, 1 for an error of the user, 130 for Ctrl-C.

A training run that is stopped and saves its checkpoint ends with 0.
"""

import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TypeAlias

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from ddpm_cli.cli.arguments import parse_arguments, shows_options
from ddpm_cli.cli.checkpoint_options.initial_network import with_init
from ddpm_cli.cli.checkpoint_options.pinning import pin_checkpoints
from ddpm_cli.cli.checkpoint_options.recipe import with_recipe
from ddpm_cli.cli.hydra_callback import register_callback
from ddpm_cli.cli.input_checks import check_inputs
from ddpm_cli.cli.invocations import read_invocation
from ddpm_cli.cli.messages import USER_ERRORS, one_line
from ddpm_cli.cli.output_folders import check_resumption, named_folders, remove_if_empty
from ddpm_cli.cli.plugins import plug_in
from ddpm_cli.config import CONFIG_DIR
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.config.rules import settle_holdout
from ddpm_cli.config.typed_length import clear_untyped_lengths, untyped_lengths
from ddpm_cli.console import logging_to, outliving_readers, printable
from ddpm_cli.files import user_path
from ddpm_cli.process.stop_signals import ending_in_order
from ddpm_cli.sweeps import BEGUN, read_sweep, resume_command

Job: TypeAlias = Callable[[DictConfig, Invocation], object]
LAUNCHERS = ("joblib.", "submitit.")
LOST = "the launcher lost a process, which was killed; jobs beside it may have ended too"


@outliving_readers()
@ending_in_order()
def exit_code(config: str, job: Job, *, sweeps: bool = False) -> int:
    """Compose a configuration, run a job with the configuration, and return the exit code.

    With HYDRA_FULL_ERROR=1, errors keep their traceback. sweeps: whether to report sweeps.
    """
    full, arguments = os.environ.get("HYDRA_FULL_ERROR") == "1", sys.argv[1:]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that Hydra raises its errors
    failures, begun, of_user, code = list[str](), list[Path](), named_folders(sys.argv), 0
    BEGUN.set(begun if sweeps else None)

    def run(cfg: DictConfig) -> object:
        try:
            if (result := call(job, cfg, config)) is False:  # the user stopped the command
                raise KeyboardInterrupt
            return result
        except USER_ERRORS as error:
            if full:
                raise
            failures.append(one_line(error))  # the error would keep the job's tensors in memory
            if not getattr(error, "is_echo", False):  # another process has printed it
                print(f"error: {failures[-1]}", file=sys.stderr)
            return None
        finally:
            remove_if_empty(Path(HydraConfig.get().runtime.output_dir), of_user)

    try:
        expand_arguments(config)
        hydra.main(config_path=str(CONFIG_DIR), config_name=config, version_base="1.3")(run)()
    except KeyboardInterrupt:
        code = 130
    except (*USER_ERRORS, RuntimeError) as error:
        lost = isinstance(error, RuntimeError) and type(error).__module__.startswith(LAUNCHERS)
        if full or not (lost or isinstance(error, USER_ERRORS)):
            raise
        print(f"error: {LOST if lost else one_line(error, config, arguments)}", file=sys.stderr)
        code = 1
    finally:
        os.environ["HYDRA_FULL_ERROR"] = str(int(full))
        done = [report_sweep(folder) for folder in begun]
    return code or int(bool(failures) or not all(done))


def call(job: Job, cfg: DictConfig, config: str) -> object:
    """Call a job. Full memory becomes a ValueError if the job itself does not turn it into one.

    What is missing is told first, before the job imports torch. config: the command's YAML file.
    """
    invocation = read_invocation(cfg)
    clear_untyped_lengths(cfg, invocation.overrides)
    settle_holdout(cfg, invocation.overrides)
    check_inputs(config, cfg, HydraConfig.get().runtime.choices)
    if config == "train":
        check_resumption(cfg.resume, invocation)
    try:
        with logging_to(None, aloud=True):  # until the job logs into its folder
            return job(pin_checkpoints(cfg), invocation)
    except (MemoryError, RuntimeError) as error:
        hardware = import_module("ddpm_cli.hardware")
        if not hardware.is_out_of_memory(error):
            raise
        raise ValueError(hardware.full_memory_text(error)) from error


def expand_arguments(config: str) -> None:
    """Put paths, a recipe and the home folder into the command line, and our parts into Hydra."""
    sys.argv[1:] = parse_arguments(config, sys.argv[1:])
    for place, each in enumerate(sys.argv):
        if each.startswith("--config-dir=~"):
            sys.argv[place] = f"--config-dir={user_path(each.partition('=')[2])}"
    if config == "train":
        sys.argv[1:] = with_recipe(with_init(sys.argv[1:]))
        if shows_options(sys.argv):  # and no run follows, which would clear them
            sys.argv[1:1] = [f"++{key}=null" for key in untyped_lengths(sys.argv)]
    plug_in(sys.argv)
    register_callback()


def report_sweep(folder: Path) -> bool:
    """Show a sweep's results and how to resume it; return whether all of its jobs are done."""
    try:
        done: bool = import_module("ddpm_cli.commands.sweep.command").show_sweep(folder, None)
    except USER_ERRORS as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return False
    if not done:
        print(f"go on with:\n  {printable(resume_command(read_sweep(folder)))}")
    return done
