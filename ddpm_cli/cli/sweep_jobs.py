"""A training run as a job of a sweep, and the report at the end of a sweep."""

import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from ddpm_cli.cli.messages import USER_ERRORS, one_line
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.run_folder.numbers import last_and_lowest
from ddpm_cli.sweeps import read_sweep, resume_command, run_or_skip_job


def train_job(cfg: DictConfig, invocation: Invocation) -> float | None:
    """Train one run; in a sweep record what becomes of it, and return the best metric's lowest."""
    hydra_cfg = HydraConfig.get()
    best = str(OmegaConf.select(cfg, "trainer.best", default="held_out"))
    train = import_module("ddpm_cli.commands.train.command").train
    if hydra_cfg.mode != RunMode.MULTIRUN:
        train(cfg, invocation)
        return None

    def run(resumed: bool) -> float | None:
        if resumed and any(invocation.folder.glob("checkpoints/[!.]*.pt")):
            cfg.resume = "auto"
        named = invocation.folder_is_named or resumed
        if not train(cfg, replace(invocation, folder_is_named=named)):
            raise KeyboardInterrupt  # a sweep that is stopped starts no other job
        return last_and_lowest(invocation.folder)[1].get(best)

    plain, number = hydra_cfg.sweeper._target_.endswith(".BasicSweeper"), hydra_cfg.job.num
    overrides = list(invocation.overrides)
    value = run_or_skip_job(
        run, invocation.folder, number, overrides, worded=one_line, retried=plain
    )
    if value is None and not plain:
        missing = f"job {number} has no {best} in its metrics.jsonl, which the sweeper needs"
        raise ValueError(f"{missing} (see trainer.evaluate_every)")
    return value


def report_sweep(folder: Path) -> bool:
    """Show what a sweep has come to and how it goes on; whether all of its jobs are done."""
    try:
        done: bool = import_module("ddpm_cli.commands.sweep.command").show_sweep(folder, None)
    except USER_ERRORS as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return False
    if not done:
        print(f"go on with:\n  {resume_command(read_sweep(folder))}")
    return done
