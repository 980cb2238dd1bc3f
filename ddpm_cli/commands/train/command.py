"""A training run: from a configuration to a folder with checkpoints, numbers and pictures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from ddpm_cli.commands.train.checks import pass_checks
from ddpm_cli.commands.train.finish import concluded, finish
from ddpm_cli.commands.train.loop import loop
from ddpm_cli.commands.train.previews import show_data
from ddpm_cli.commands.train.setup import opened
from ddpm_cli.commands.train.signals import stop_requested
from ddpm_cli.commands.train.summary import announce
from ddpm_cli.config.build import bound
from ddpm_cli.config.schema import check
from ddpm_cli.config.targets import GROUPS
from ddpm_cli.config.values import at_least
from ddpm_cli.console import said
from ddpm_cli.evaluation.against_training import nodes
from ddpm_cli.files import save_text
from ddpm_cli.models import settled
from ddpm_cli.parallel import device_named, joined
from ddpm_cli.parallel.launch import check_named, finished, leave, processes, spread
from ddpm_cli.run_folder.logger import Journal


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


def train(cfg: DictConfig, folder: Path, *, named: bool, again: str, overrides: Sequence[str]) -> bool:
    """Trains what `cfg` says in `folder`, in as many processes as it says; False where the user stopped it.

    named: the user named the folder. again: the command that goes on after a stop. overrides: what the command line said.
    """
    check(cfg, GROUPS, Options)
    bound(Options, cfg)()
    check_named(named)
    return spread_out(train_here, cfg, folder, named=named, again=again, overrides=list(overrides))


def spread_out(job: Callable[..., bool], cfg: DictConfig, *args: Any, **options: Any) -> bool:
    """Calls the job in as many processes as the configuration says, in this one where that is one."""
    count = processes(cfg.trainer.processes, cfg.trainer.device) if cfg.trainer.parallel == "ddp" else 1
    return spread(count, job, settled(cfg), *args, features=nodes(cfg), **options)


def train_here(
    plain: dict[Any, Any], folder: Path, *, features: Mapping[str, Any], named: bool, again: str, overrides: Sequence[str]
) -> bool:
    """Trains in this process, as the only one or as one of those that it finds itself among."""
    cfg = OmegaConf.create(plain)
    device = device_named(cfg.trainer.device)
    with joined(device) as ranks, said(folder / "train.log", ranks.first), stop_requested(ranks) as stop:
        run = opened(cfg, folder, ranks, named, features)
        announce(run)
        pass_checks(run)
        if ranks.first:
            record(folder / ".hydra", cfg, overrides)
        run = replace(run, journal=Journal.opened(folder, run.state.step, writes=ranks.first))
        show_data(run)
        with concluded(run):
            with run.saver.thread:
                loop(run, stop)
                finish(run, stop, again)
            if ranks.first:
                finished()
        if stop.is_set() and ranks.count > 1:
            leave()
    return not stop.is_set()


def record(folder: Path, cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Writes what was composed and what the command line said, in Hydra's own form."""
    save_text(folder / "config.yaml", OmegaConf.to_yaml(cfg))
    save_text(folder / "overrides.yaml", yaml.safe_dump(list(overrides)))
