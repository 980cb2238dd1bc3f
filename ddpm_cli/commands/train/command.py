"""A training run: from a configuration to a folder with checkpoints, numbers and pictures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from ddpm_cli.commands.train.checks import run_checks
from ddpm_cli.commands.train.finish import ending_with_report, finish_run
from ddpm_cli.commands.train.loop import train_loop
from ddpm_cli.commands.train.previews import write_data_pictures
from ddpm_cli.commands.train.setup import set_up_run
from ddpm_cli.commands.train.signals import stop_on_signals
from ddpm_cli.commands.train.summary import log_sample_metrics
from ddpm_cli.config.build import bind_options
from ddpm_cli.config.schema import check_config
from ddpm_cli.config.targets import GROUPS
from ddpm_cli.config.values import at_least
from ddpm_cli.console import logging_to
from ddpm_cli.evaluation.against_training import sample_metric_nodes
from ddpm_cli.files import save_text
from ddpm_cli.models import resolve_config
from ddpm_cli.parallel import find_device, join_group
from ddpm_cli.parallel.launch import (
    check_folder_is_named,
    exit_now,
    mark_finished,
    process_count,
    run_in_processes,
)
from ddpm_cli.run_folder.logger import RunLogger


@dataclass(frozen=True)
class Options:
    """What `ddpm-train` takes beside its groups.

    seed: of everything random. resume: a checkpoint, or `auto` for the newest of the folder. trust: your own modules with targets.
    """

    _: KW_ONLY
    seed: int
    resume: str | None
    trust: list[str]

    def __post_init__(self) -> None:
        at_least(self, seed=0)


def train(
    cfg: DictConfig, folder: Path, *, named: bool, again: str, overrides: Sequence[str]
) -> bool:
    """Trains what `cfg` says in `folder`, in as many processes as it says; False where the user stopped it.

    named: the user named the folder. again: the command that goes on after a stop. overrides: what the command line said.
    """
    check_config(cfg, GROUPS, Options)
    bind_options(Options, cfg)()
    check_folder_is_named(named)
    return run_as_configured(
        train_in_process, cfg, folder, named=named, again=again, overrides=list(overrides)
    )


def run_as_configured(
    job: Callable[..., bool], cfg: DictConfig, *args: Any, **options: Any
) -> bool:
    """Calls the job in as many processes as the configuration says, in this one where that is one."""
    count = (
        process_count(cfg.trainer.processes, cfg.trainer.device)
        if cfg.trainer.parallel == "ddp"
        else 1
    )
    return run_in_processes(
        count, job, resolve_config(cfg), *args, features=sample_metric_nodes(cfg), **options
    )


def train_in_process(
    plain: dict[Any, Any],
    folder: Path,
    *,
    features: Mapping[str, Any],
    named: bool,
    again: str,
    overrides: Sequence[str],
) -> bool:
    """Trains in this process, as the only one or as one of those that it finds itself among."""
    cfg = OmegaConf.create(plain)
    device = find_device(cfg.trainer.device)
    with (
        join_group(device) as group,
        logging_to(folder / "train.log", group.is_first),
        stop_on_signals(group) as stop,
    ):
        run = set_up_run(cfg, folder, group, named, features)
        log_sample_metrics(run)
        run_checks(run)
        if group.is_first:
            write_config(folder / ".hydra", cfg, overrides)
        run = replace(run, logger=RunLogger.opened(folder, run.state.step, writes=group.is_first))
        write_data_pictures(run)
        with ending_with_report(run):
            with run.writer.thread:
                train_loop(run, stop)
                finish_run(run, stop, again)
            if group.is_first:
                mark_finished()
        if stop.is_set() and group.count > 1:
            exit_now()
    return not stop.is_set()


def write_config(folder: Path, cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Writes what was composed and what the command line said, in Hydra's own form."""
    save_text(folder / "config.yaml", OmegaConf.to_yaml(cfg))
    save_text(folder / "overrides.yaml", yaml.safe_dump(list(overrides)))
