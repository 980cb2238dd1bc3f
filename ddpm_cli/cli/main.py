"""The table of commands; the module of a command is imported when it is called."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from ddpm_cli.cli.messages import one_line
from ddpm_cli.cli.outcome import exit_code
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.run_folder.numbers import last_and_lowest
from ddpm_cli.sweeps import run_or_skip_job
from ddpm_cli.sweeps.shared_recipe import swept_options_of

MODULES = {  # the module of each command, and its YAML file
    "compare": ("ddpm_cli.commands.compare.command", "compare"),
    "data": ("ddpm_cli.commands.data.command", "data"),
    "doctor": ("ddpm_cli.commands.doctor", "train"),
    "evaluate": ("ddpm_cli.commands.evaluate.command", "eval"),
    "export": ("ddpm_cli.commands.export", "export"),
    "info": ("ddpm_cli.commands.info", "info"),
    "plot": ("ddpm_cli.commands.plot", "plot"),
    "report": ("ddpm_cli.commands.report", "report"),
    "sample": ("ddpm_cli.commands.sample.command", "sample"),
    "sweep": ("ddpm_cli.commands.sweep.command", "sweep"),
}


def launch(name: str) -> None:
    """Run a command and end the process with its exit code."""
    module, config = MODULES[name]
    sys.exit(exit_code(config, lambda *args: getattr(import_module(module), name)(*args)))


def train() -> None:
    """Run `ddpm-train`, one run or the jobs of a sweep."""
    sys.exit(exit_code("train", train_job, sweeps=True))


def sweep() -> None:
    """Show a sweep, or resume a sweep by the command that began it."""
    arguments = list[str]()
    module, config = MODULES["sweep"]
    code = exit_code(config, lambda *args: arguments.extend(import_module(module).sweep(*args)))
    if arguments:
        sys.argv[1:] = arguments
        code = exit_code("train", train_job, sweeps=True)
    sys.exit(code)


doctor, sample = partial(launch, "doctor"), partial(launch, "sample")


evaluate, compare = partial(launch, "evaluate"), partial(launch, "compare")


data, info = partial(launch, "data"), partial(launch, "info")


export = partial(launch, "export")


plot, report = partial(launch, "plot"), partial(launch, "report")


COMMANDS: dict[str, Callable[[], None]] = {
    "train": train,
    "doctor": doctor,
    "sample": sample,
    "compare": compare,
    "info": info,
    "eval": evaluate,
    "plot": plot,
    "data": data,
    "export": export,
    "report": report,
    "sweep": sweep,
}


def main() -> None:
    """Run the command that the first argument of `python -m ddpm_cli` names."""
    name = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if name not in COMMANDS:
        known = ", ".join(COMMANDS)
        sys.exit(f"error: the command must be one of {known}, but is {name!r}")
    COMMANDS[name]()


def train_job(cfg: DictConfig, invocation: Invocation) -> float | None:
    """Train one run. In a sweep, record the outcome and return the lowest of `trainer.best`."""
    hydra_cfg = HydraConfig.get()
    best = str(OmegaConf.select(cfg, "trainer.best", default="held_out"))
    train = import_module("ddpm_cli.commands.train.command").train
    if hydra_cfg.mode != RunMode.MULTIRUN:
        train(cfg, invocation)
        return None

    def run(resumed: bool) -> float | None:
        if resumed and any(invocation.folder.glob("checkpoints/step_*")):
            cfg.resume = "auto"
        named = invocation.folder_is_named or resumed
        swept = swept_options_of(overrides, sweep)
        job = replace(invocation, folder_is_named=named, sweep=sweep, swept=swept)
        if not train(cfg, job):
            raise KeyboardInterrupt  # a stopped sweep starts no other job
        return last_and_lowest(invocation.folder)[1].get(best)

    plain, number = hydra_cfg.sweeper._target_.endswith(".BasicSweeper"), hydra_cfg.job.num
    overrides, sweep = list(invocation.overrides), Path(os.path.abspath(hydra_cfg.sweep.dir))
    value = run_or_skip_job(
        run, invocation.folder, number, overrides, sweep=sweep, worded=one_line, retried=plain
    )
    if value is None and not plain:
        missing = f"job {number} has no {best} in its metrics.jsonl, which the sweeper needs"
        raise ValueError(f"{missing} (see trainer.evaluate_every)")
    return value
