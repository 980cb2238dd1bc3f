"""`ddpm-train`: options, processes, and the course of a run in one of them."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import KW_ONLY, asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from omegaconf import DictConfig, OmegaConf

from ddpm_cli.checkpoints import checkpoint_path, existing_file, newest_first
from ddpm_cli.commands.train.checks import run_checks
from ddpm_cli.commands.train.finish import ending_with_report, finish_run
from ddpm_cli.commands.train.loop import train_loop
from ddpm_cli.commands.train.previews import expected_pictures, write_data_pictures
from ddpm_cli.commands.train.run import Run, run_texts
from ddpm_cli.commands.train.sample_metrics import prepare_sample_metrics
from ddpm_cli.commands.train.setup import set_up_run
from ddpm_cli.config.auto import chosen_options
from ddpm_cli.config.build import GROUPS, bind_options, build
from ddpm_cli.config.invocation import Invocation
from ddpm_cli.config.process_limit import check_processes
from ddpm_cli.config.schema import parse_options
from ddpm_cli.console import fact, logging_to
from ddpm_cli.evaluation.training_set_metrics import sample_metric_nodes
from ddpm_cli.files import remove_contents, save_text
from ddpm_cli.generation.guidance import preview_options
from ddpm_cli.generation.options import drawing_groups
from ddpm_cli.hardware import deterministic_kernels, find_device, words_for_full_memory
from ddpm_cli.loggers.nodes import bound_loggers, logger_nodes
from ddpm_cli.loggers.sent_config import sent_config
from ddpm_cli.optimizers.default_options import drop_defaults
from ddpm_cli.parallel import join_group
from ddpm_cli.parallel.launch import exit_now, mark_resumable, process_count, run_in_processes
from ddpm_cli.parallel.launch_check import check_batch_share
from ddpm_cli.parallel.stop_request import stop_on_signals
from ddpm_cli.preflight.resources import FULL_MEMORY
from ddpm_cli.process.stop_signals import NothingToSaveError
from ddpm_cli.process.writer_lock import writer_lock
from ddpm_cli.reports.reproduce import train_command
from ddpm_cli.run_folder.facts import RunFacts
from ddpm_cli.run_folder.layout import HYDRA, LOG
from ddpm_cli.schedules import Ending
from ddpm_cli.seeds import check_seed
from ddpm_cli.sweeps.job import is_first_process


@dataclass(frozen=True)
class Options:
    """The options of `ddpm-train`, apart from its groups.

    seed: random seed of the whole run. resume: a checkpoint, or `auto` for the folder's newest.
    init: the checkpoint that the run starts from, with its EMA or its raw weights.
    auto: whether options that hold `auto` are chosen; after a choice, their names.
    previews: the options of the samples that the run shows and measures.
    logger: the options of each logger. trust: the user's own modules that targets may name.
    """

    _: KW_ONLY
    seed: int
    resume: str | None
    init: str | None
    init_weights: Literal["ema", "raw"]
    previews: dict[str, Any]
    logger: Any
    auto: bool | list[str]
    trust: list[str]

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if self.init is None and self.init_weights != "ema":
            raise ValueError(f"init_weights={self.init_weights} has no effect without init")


@words_for_full_memory(FULL_MEMORY)
def train_in_process(
    plain: dict[Any, Any], invocation: Invocation, features: Mapping[str, Any]
) -> bool:
    """Train in this process, which may be one of a group; return False if the user stopped it."""
    cfg, folder = OmegaConf.create(plain), invocation.folder
    device, facts = find_device(cfg.trainer.device), RunFacts(folder)
    with join_group(device) as group, deterministic_kernels(cfg.trainer.deterministic, device):
        with (
            writer_lock(folder, "training", first=group.rank == 0),
            logging_to(folder / LOG, group.rank == 0, facts),
            stop_on_signals(group) as stop,
        ):
            run = set_up_run(cfg, invocation, group, features)
            stop.watch(run.state.denoiser.network)
            if run.trainer.measures and group.rank == 0:
                prepare_sample_metrics(run)
            run_checks(run)
            if group.rank == 0:
                begin_folder(run, facts)
            with ending_with_report(run, facts):
                run.logger.open(run.state.step, bound_loggers(cfg), sent_config(run.cfg))
                run.snapshots.rewind(run.state.step)
                write_data_pictures(run)
                with run.writer.thread:
                    train_loop(run, stop)
                    stop.begin()  # where no step was left
                    finish_run(run, stop, invocation)
                if group.rank == 0:
                    mark_resumable()
        if stop.is_set() and group.count > 1:
            exit_now()
    return not stop.is_set()


def begin_folder(run: Run, facts: RunFacts) -> None:
    """Write the configuration and the description of a run into its folder."""
    invocation = run.invocation
    save_text(run.folder / HYDRA / "config.yaml", OmegaConf.to_yaml(run.cfg))
    overrides = yaml.safe_dump(list(invocation.overrides))
    save_text(run.folder / HYDRA / "overrides.yaml", overrides)
    own = {"config_dir": invocation.config_dir, "cadences": asdict(run.cadences)}
    texts = {**run_texts(run), "pictures": expected_pictures(run, run.steps)}
    if chosen_options(run.cfg):
        texts["command"] = train_command(run.snapshot())
    if run.recipe is not None:
        fact("command", texts["command"])
    progress = {"state": "running", "step": run.state.step, "steps": run.steps}
    facts.begin({**progress, **texts, **own})


def train(
    cfg: DictConfig, invocation: Invocation, job: Callable[..., bool] = train_in_process
) -> bool:
    """Train a model; return False if the user stopped the run.

    job: what to do in each of the processes that the options name.
    """
    drop_defaults(cfg, invocation.overrides)
    parse_options(cfg, Options, groups=[*GROUPS, *drawing_groups(cfg)])
    if (guide := preview_options(cfg).guide) is not None:
        cfg.previews.guide = str(existing_file(checkpoint_path(guide)))  # one for the whole run
    plain = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(plain, dict)
    plain["logger"] = logger_nodes(cfg, invocation.overrides)
    if "path" in cfg.schedule:  # a checkpoint holds the betas in place of the file
        plain["schedule"] = {
            "_target_": "ddpm_cli.schedules.numbers",
            "betas": build(cfg, "schedule").tolist(),
            "zero_snr": bind_options(Ending, cfg.schedule)().zero_snr,
        }
    features = sample_metric_nodes(cfg) if cfg.trainer.measures else {}
    ddp, args = cfg.trainer.parallel == "ddp", (plain, invocation, features)
    asked, device = cfg.trainer.processes, cfg.trainer.device
    count = process_count(asked, device, "trainer.processes") if ddp else 1
    if ddp and (asked, count) == ("auto", 1) and "RANK" not in os.environ:
        fact("processes", "1, one for each GPU; trainer.processes=N starts N, also on the CPU")
    check_processes("trainer.workers", count * cfg.trainer.workers)
    check_batch_share(cfg.trainer.batch_size, count)
    folder, named = invocation.folder, invocation.folder_is_named
    is_new = not any(folder.iterdir())
    try:
        return run_in_processes(count, job, *args, folder_is_named=named)
    except NothingToSaveError:
        if is_first_process():
            clean_up(folder, is_new=is_new)
        raise


def clean_up(folder: Path, *, is_new: bool) -> None:
    """Remove the lock of dead processes, and the files of a run without a step.

    is_new: whether the folder was empty before. A folder that another launch writes stays.
    """
    with suppress(ValueError), writer_lock(folder, "training"):
        if is_new and not newest_first(folder):
            remove_contents(folder)
