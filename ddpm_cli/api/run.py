"""Train from one's own program: a run as `ddpm-train` makes it, and what it leaves."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from threading import Event, Lock, current_thread, main_thread
from typing import TypeAlias

import torch
from omegaconf import DictConfig

from ddpm_cli.api.errors import user_errors
from ddpm_cli.api.model import Model, Weights, load
from ddpm_cli.checkpoints import Checkpoint, newest_first
from ddpm_cli.cli.checkpoint_options.initial_network import with_init
from ddpm_cli.cli.checkpoint_options.recipe import with_recipe
from ddpm_cli.cli.input_checks import check_inputs
from ddpm_cli.cli.invocations import invocation_of
from ddpm_cli.cli.output_folders import named_folders, remove_if_empty
from ddpm_cli.commands.train import command
from ddpm_cli.config.composition import compose_options, own_hydra
from ddpm_cli.config.overrides import override_value
from ddpm_cli.config.rules import settle_holdout
from ddpm_cli.config.typed_length import clear_untyped_lengths
from ddpm_cli.config.values import path_override
from ddpm_cli.files import user_path
from ddpm_cli.parallel.launch import process_count
from ddpm_cli.parallel.stop_request import CALLER
from ddpm_cli.rendering.html.pictures import image_source
from ddpm_cli.run_folder.facts import read_facts
from ddpm_cli.run_folder.numbers import last_and_lowest
from ddpm_cli.run_folder.pictures import read_pngs, sample_grids

Overrides: TypeAlias = str | Sequence[str] | Mapping[str, object]
OWN_YAML = "--config-dir="
ONE_TRAINS = Lock()


@dataclass(frozen=True)
class TrainingRun:
    """A run that has ended, in the folder that holds its checkpoints, numbers and report.

    checkpoint: the last one, of the step `step`. stopped: whether a signal or the caller ended the
    run early. numbers, lowest: the last and the lowest number of every metric in metrics.jsonl.
    trust: the user's own modules that the run names. A notebook shows the last samples.
    """

    folder: Path
    checkpoint: Path
    step: int
    stopped: bool
    numbers: Mapping[str, float] = field(repr=False)
    lowest: Mapping[str, float] = field(repr=False)
    trust: Sequence[str] = ()

    def model(self, *, weights: Weights = "ema", device: str | torch.device = "auto") -> Model:
        """Load the model of the last checkpoint; the options are those of `load`."""
        return load(self.checkpoint, weights=weights, device=device, trust=self.trust)

    def _repr_html_(self) -> str:
        grids = sample_grids(self.folder)
        pictures = read_pngs([grids[max(grids)]] if grids else [])
        images = [
            f'<img alt="samples" src="{image_source(each)["src"]}">' for each in pictures.values()
        ]
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td>{number:.4g}</td></tr>"
            for name, number in self.numbers.items()
        )
        return f"<p>{escape(str(self.folder))}</p>{''.join(images)}<table>{rows}</table>"


def train(
    overrides: Overrides = (),
    *,
    folder: str | Path | None = None,
    config_dir: str | Path | None = None,
    stop: Event | None = None,
) -> TrainingRun:
    """Train as `ddpm-train` does with the same options, and return the run once it has ended.

    overrides: `["data=folder", "trainer.steps=100"]`, the same in one text as a shell reads it, or
    a mapping of names to values. folder: of the run (hydra.run.dir). config_dir: a folder of the
    user's own YAML files. stop: an event that another thread may set; the run then saves its
    checkpoint and ends after its step, as it does at Ctrl-C or a notebook's interruption.
    In any thread, one run at a time. Several processes (trainer=ddp) need a script whose call
    stands below `if __name__ == "__main__":`. The state of torch's random numbers on the CPU and
    of Hydra stay. Raises ValueError for what the command would refuse, and KeyboardInterrupt if it
    is stopped before its first step is done.
    """
    with user_errors("train"), one_at_a_time(), torch.random.fork_rng(devices=[]):
        arguments, own = command_line(overrides, folder, config_dir)
        with user_errors("train", arguments):
            cfg, hydra_cfg = compose_options("train", arguments, own)
            clear_untyped_lengths(cfg, arguments)
            settle_holdout(cfg, arguments)
            check_inputs("train", cfg, hydra_cfg.runtime.choices)
        where, of_user = user_path(hydra_cfg.run.dir).absolute(), named_folders(arguments)
        invocation = invocation_of(cfg, hydra_cfg, where)
        token = CALLER.set(event_for(cfg, stop))
        where.mkdir(parents=True, exist_ok=True)
        try:
            with own_hydra("train", own):
                finished = command.train(cfg, invocation)
        finally:
            CALLER.reset(token)
            remove_if_empty(where, of_user)
        path, numbers, trust = newest_first(where)[0], last_and_lowest(where), invocation.trust
        step = Checkpoint.load(path, parts=()).step
        # a request during the last report comes too late, though a sweep then ends
        stopped = not finished and read_facts(where).get("state") != "complete"
        return TrainingRun(where, path, step, stopped, *numbers, tuple(trust))


def command_line(
    overrides: Overrides, folder: str | Path | None, config_dir: str | Path | None
) -> tuple[list[str], Path | None]:
    """The overrides of `ddpm-train`, those of a recipe among them, and the user's YAML files."""
    flags = [] if config_dir is None else [f"{OWN_YAML}{user_path(config_dir)}"]
    named = [] if folder is None else [path_override("hydra.run.dir", user_path(folder))]
    arguments = with_recipe(with_init([*flags, *texts(overrides), *named]))
    own = [Path(each[len(OWN_YAML) :]) for each in arguments if each.startswith(OWN_YAML)]
    return [each for each in arguments if not each.startswith(OWN_YAML)], next(iter(own), None)


def texts(overrides: Overrides) -> list[str]:
    """Overrides as the texts of a command line."""
    if isinstance(overrides, str):
        return shlex.split(overrides)
    if not isinstance(overrides, Mapping):
        return list(overrides)
    return [f"{name}={override_value(plain_value(value))}" for name, value in overrides.items()]


def plain_value(value: object) -> object:
    """A value as YAML knows it: a path is a text, a tuple a list."""
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def event_for(cfg: DictConfig, stop: Event | None) -> Event | None:
    """The event that stops a run: the caller's; in a thread, which gets no signals, any event.

    Raises ValueError if several processes would have to see the caller's event.
    """
    trainer = cfg.trainer
    count = process_count(trainer.processes, trainer.device) if trainer.parallel == "ddp" else 1
    if count > 1 and stop is not None:
        raise ValueError(f"stop is for a run in one process, but trainer.processes is {count}")
    return stop if stop or count > 1 or current_thread() is main_thread() else Event()


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Refuse a second run in this process, whose log and Hydra are the first run's."""
    if not ONE_TRAINS.acquire(blocking=False):
        rule = "one run at a time trains in a process"
        raise ValueError(f"{rule}; start another one by ddpm-train, in a process of its own")
    try:
        yield
    finally:
        ONE_TRAINS.release()
