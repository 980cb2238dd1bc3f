"""The table of commands; the module of a command is imported when it is called."""

import os
import sys
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from ddpm_cli.cli.help_pages import command_list, help_page, version_text
from ddpm_cli.cli.messages import one_line
from ddpm_cli.cli.outcome import exit_code
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.console import outliving_readers, printable
from ddpm_cli.run_folder.numbers import last_and_lowest
from ddpm_cli.sweeps import run_or_skip_job
from ddpm_cli.sweeps.shared_recipe import swept_options_of

COMMANDS = {  # the function of each command, and the module that is imported when it is called
    "train": "ddpm_cli.commands.train.command:train",
    "doctor": "ddpm_cli.commands.doctor:doctor",
    "sample": "ddpm_cli.commands.sample.command:sample",
    "compare": "ddpm_cli.commands.compare.command:compare",
    "tune": "ddpm_cli.commands.tune.command:tune",
    "info": "ddpm_cli.commands.info:info",
    "eval": "ddpm_cli.commands.evaluate.command:evaluate",
    "plot": "ddpm_cli.commands.plot:plot",
    "data": "ddpm_cli.commands.data.command:data",
    "import": "ddpm_cli.commands.importing.command:import_model",
    "export": "ddpm_cli.commands.export.command:export",
    "report": "ddpm_cli.commands.report:report",
    "ema": "ddpm_cli.commands.ema:ema",
    "sweep": "ddpm_cli.commands.sweep.command:sweep",
}
CONFIGS = {"doctor": "train"}  # the YAML file of a command that is of another name
ALIKE = 0.5  # how alike a name must be to be meant


def launch(name: str) -> None:
    """Run a command, or show its help, and end the process with its exit code."""
    config, arguments = CONFIGS.get(name, name), sys.argv[1:]
    if "--version" in arguments:
        show(version_text())
    if {"--help", "-h"} & {*arguments}:
        show(help_page(name, config, COMMANDS[name].partition(":")[0], arguments))
    if name == "sweep":
        sys.exit(sweep_code())
    job = train_job if name == "train" else lambda *args: resolve_name(COMMANDS[name])(*args)
    sys.exit(exit_code(config, job, sweeps=name == "train"))


def sweep_code() -> int:
    """Show a sweep, or resume a sweep by the command that began it; return the exit code."""
    arguments = list[str]()
    job = COMMANDS["sweep"]
    code = exit_code("sweep", lambda *args: arguments.extend(resolve_name(job)(*args)))
    if not arguments:
        return code
    sys.argv[1:] = arguments
    return exit_code("train", train_job, sweeps=True)


train, doctor, sample = (partial(launch, name) for name in ("train", "doctor", "sample"))
compare, info, evaluate = (partial(launch, name) for name in ("compare", "info", "eval"))
plot, data, export = (partial(launch, name) for name in ("plot", "data", "export"))
report, sweep, import_model = (partial(launch, name) for name in ("report", "sweep", "import"))
tune, ema = partial(launch, "tune"), partial(launch, "ema")


def main() -> None:
    """Run the command that the first argument of `python -m ddpm_cli` names."""
    name = sys.argv.pop(1) if len(sys.argv) > 1 else "--help"
    if name in ("--help", "-h", "help"):
        show(command_list(COMMANDS))
    if name == "--version":
        show(version_text())
    if name not in COMMANDS:
        near = get_close_matches(name.removeprefix("ddpm-"), COMMANDS, n=1, cutoff=ALIKE)
        known = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
        sys.exit(f"error: {printable(name)} is not a command; {known}")
    launch(name)


@outliving_readers()
def show(text: str) -> None:
    """Print a text and end the process."""
    print(text)
    sys.exit(0)


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
