"""What a checkpoint says of itself: its run, its recipe, and the command that makes it again."""

import logging
import shlex
from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ddpm_cli import checkpoints
from ddpm_cli.config import bound, check
from ddpm_cli.runs.budget import shortened
from ddpm_cli.runs.lines import printable, said
from ddpm_cli.runs.overrides import overrides

NOT_THE_RECIPE: dict[str, Any] = {"resume": None, "trust": []}  # how one command went on, and whom it trusted: never taken from a file
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """What `ddpm-info` takes: the checkpoint."""

    _: KW_ONLY
    ckpt: str


def info(cfg: DictConfig) -> None:
    """Shows what the checkpoint says; whatever it holds, only printable characters reach the screen."""
    check(cfg, (), Options)
    content = checkpoints.load(Path(bound(Options, cfg)().ckpt).expanduser())
    with said(None, aloud=True):
        for line in lines(content):
            log.info("%s", printable(line))


def lines(content: dict[str, Any]) -> Iterator[str]:
    """What is shown, line by line."""
    facts, tensors = content["facts"], content["network"].values()
    yield f"step        {content['step']:,} of {facts['steps']:,}, learning rate times {facts['lr_scale']:g}"
    yield f"parameters  {sum(tensor.numel() for tensor in tensors):,}"
    yield f"images      {' x '.join(map(str, facts['shape']))} (channels, height, width), fingerprint {content['data']}"
    yield f"classes     {', '.join(facts['classes']) or 'none'}"
    yield from (f"{name:<11} {value}" for name, value in content["environment"].items())
    yield from ["", "recipe", *(f"  {line}" for line in OmegaConf.to_yaml(content["config"]).splitlines())]
    yield from ["", "the command that trains it again", f"  {command(content)}"]


def command(content: dict[str, Any]) -> str:
    """The command that trains it again to its end."""
    wanted: Any = OmegaConf.to_container(content["config"], resolve=True)
    try:
        if isinstance(wanted.get("trainer"), dict):
            wanted["trainer"] = counted(wanted["trainer"], content["facts"]["steps"])
        return shlex.join(["ddpm-train", *overrides({**wanted, **NOT_THE_RECIPE})])
    except (ValueError, LookupError, TypeError, ArithmeticError) as error:
        return f"(none: {error})"


def counted(trainer: dict[str, Any], steps: int) -> dict[str, Any]:
    """The trainer's options with a length that was set by minutes or epochs said in steps, and what follows from it."""
    paced = shortened(trainer, steps) if trainer.get("minutes") is not None else {}
    absent: dict[str, Any] = {name: None for name in ("minutes", "epochs", "stop_at") if name in trainer}
    return {**trainer, **paced, **absent, "steps": steps}
